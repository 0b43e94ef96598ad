"""A connector as its herder holds it, and what its tasks are given."""

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from engine.api.errors import ConfigError
from engine.model.state import State, TargetState
from engine.model.supervision import Supervision
from engine.model.supervision_config import supervision
from engine.model.task_id import TaskId
from engine.storage.config_store import StoredConnector
from engine.wire.task_message import TaskAssignment

_CANONICAL: Final = msgspec.msgpack.Encoder(order="deterministic")

_NOT_FOR_TASKS: Final = (
    "tasks.max", "engine.restart.", "engine.start.", "engine.heartbeat.", "engine.stage.",
    "engine.busy.", "engine.progress.", "engine.recycle.",
)  # fmt: skip
"""Beginnings of connector keys that no task reads: changing them restarts none."""


class ConnectorEntry(msgspec.Struct):
    """What a herder knows of one connector.

    Attributes:
        stored: as it is wanted, and what planning made of it.
        state: of the connector itself, not of its tasks.
        trace: why the last planning failed.
        retry: plans again later; None when nothing is to be tried again.
    """

    stored: StoredConnector
    state: State
    trace: str | None = None
    is_restarting: bool = False
    retry: "asyncio.Task[None] | None" = None

    @property
    def name(self) -> str:
        """The connector's name."""
        return self.stored.name

    @property
    def type(self) -> str:
        """``source``, ``sink`` or ``unknown``."""
        return self.stored.plan.type if self.stored.plan else "unknown"

    @property
    def version(self) -> str | None:
        """The connector's own version."""
        return self.stored.plan.version if self.stored.plan else None

    @property
    def task_configs(self) -> tuple[dict[str, str], ...]:
        """Configurations of the tasks it is to have now."""
        is_stopped = self.stored.target_state is TargetState.STOPPED
        return () if is_stopped or not self.stored.plan else self.stored.plan.task_configs

    @property
    def task_ids(self) -> list[TaskId]:
        """The tasks it is to have now."""
        return [TaskId(self.name, number) for number in range(len(self.task_configs))]

    def assignments(self, worker: Mapping[str, str], data_dir: str) -> Iterator[TaskAssignment]:
        """What each task is given."""
        plan = self.stored.plan
        if plan is None:
            return
        for number, config in enumerate(self.task_configs):
            yield TaskAssignment(
                connector=self.name,
                task=number,
                type=plan.type,
                worker=dict(worker),
                connector_config=plan.connector_config,
                config=config,
                data_dir=data_dir,
                start_paused=self.stored.target_state is TargetState.PAUSED,
            )


STATE_OF: Final = {
    TargetState.STARTED: State.RUNNING,
    TargetState.PAUSED: State.PAUSED,
    TargetState.STOPPED: State.STOPPED,
}
"""State of a connector that has not failed."""


def config_hash(assignment: TaskAssignment) -> str:
    """Names everything about an assignment that matters to its task's process."""
    config = {
        key: value
        for key, value in assignment.connector_config.items()
        if not key.startswith(_NOT_FOR_TASKS)
    }
    canonical = msgspec.structs.replace(assignment, connector_config=config, start_paused=False)
    return hashlib.sha256(_CANONICAL.encode(canonical)).hexdigest()


def supervision_of(worker: Mapping[str, str], connector: Mapping[str, str]) -> Supervision:
    """How a connector's tasks are supervised."""
    try:
        return supervision(worker, connector)
    except ConfigError:  # refused when a configuration is checked; this one is older than the check
        return Supervision()
