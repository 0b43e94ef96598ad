"""What a plan child is asked, and its answers to the herder over a socket of their own."""

from typing import Any

import msgspec

from engine.model.letters.request import LettersRequest
from engine.wire.message import Message

OffsetChange = tuple[dict[str, Any] | None, dict[str, Any] | None]
"""A partition, and the offset that it is to have; None for none."""


class PlanRequest(msgspec.Struct, frozen=True):
    """What a plan child is to do.

    Attributes:
        action: ``validate``, ``plan`` (validate, then task_configs), ``plugins`` (list them),
            ``plugin_config`` (keys of the plugin named in ``config["class"]``), ``offsets`` (those
            committed), ``alter_offsets`` (set ``offsets``, or forget all when that is None),
            ``cluster_id`` or ``dead_letters`` (what ``letters`` says).
        config: the connector's configuration; a value that a client gave as null is None.
        more: further connectors of the same class, to be done after this one as far as there is
            time; each is answered by itself.
    """

    action: str
    worker: dict[str, str]
    config: dict[str, str | None]
    data_dir: str
    letters: LettersRequest | None = None
    offsets: tuple[OffsetChange, ...] | None = None
    more: tuple[dict[str, str | None], ...] = ()


class PlanStage(Message, frozen=True, array_like=True):
    """What the child is about to do (``validate``, ``start``, ``task_configs``), for whom."""

    stage: str
    number: int = 0


class PlanDone(Message, frozen=True, array_like=True):
    """One connector is done, by its number. Descriptor: a sealed memfd with its PlanAnswer."""

    number: int = 0


class PlannedKey(msgspec.Struct, frozen=True):
    """One key of a plugin, in texts; see :class:`engine.api.config.ConfigKey`."""

    name: str
    type: str
    required: bool
    default: str | None
    doc: str
    importance: str
    group: str | None = None
    order: int = -1
    width: str = "NONE"
    display_name: str = ""
    recommended: tuple[str, ...] = ()


class PlannedValue(msgspec.Struct, frozen=True):
    """One key of a validated configuration: what was given, and what is wrong with it."""

    key: PlannedKey
    value: str | None
    errors: tuple[str, ...] = ()


class PlannedPlugin(msgspec.Struct, frozen=True):
    """One installed plugin."""

    class_name: str
    type: str
    version: str | None


class PlanProblem(msgspec.Struct, frozen=True):
    """Why a plan child could not do what was asked.

    Attributes:
        kind: ``bad_request`` (say it to the client), ``not_found`` or ``failed`` (plugin code).
        stage: what it was at.
        summary: the message alone.
        trace: ``Type: message`` and the traceback.
        is_permanent: the same configuration would fail again.
        is_retriable: the plugin said that the same may work later.
    """

    kind: str
    stage: str
    summary: str
    trace: str = ""
    is_permanent: bool = False
    is_retriable: bool = False


class PlanAnswer(msgspec.Struct, frozen=True):
    """What a plan child found out; secrets are placeholders again.

    Attributes:
        type: ``source`` or ``sink``.
        class_name: the connector's (or the plugin's) class as REST shows it.
        values: of ``validate`` and ``plan``: every known key.
        warnings: keys that nobody knows.
        task_configs: of ``plan``, unless a value has errors.
        keys: of ``plugin_config``.
        plugins: of ``plugins``.
        cluster_id: of ``cluster_id``.
        offsets: of ``offsets``: partition and offset in the form of the REST API.
        is_told: of ``alter_offsets``: whether the connector itself took part.
        letters: of ``dead_letters``: what REST answers.
    """

    problem: PlanProblem | None = None
    type: str = "unknown"
    version: str | None = None
    class_name: str = ""
    groups: tuple[str, ...] = ()
    values: tuple[PlannedValue, ...] = ()
    warnings: tuple[str, ...] = ()
    task_configs: tuple[dict[str, str], ...] = ()
    keys: tuple[PlannedKey, ...] = ()
    plugins: tuple[PlannedPlugin, ...] = ()
    cluster_id: str | None = None
    offsets: tuple[tuple[dict[str, Any], Any], ...] = ()
    is_told: bool = False
    letters: dict[str, Any] | None = None


PlanToHerder = PlanStage | PlanDone
