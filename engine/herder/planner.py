"""Turns what plan children answer into plans, validations and errors with upstream's texts."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from engine.api.config import REQUIRED, ConfigKey, ConfigType, Importance
from engine.api.errors import ConnectError, NotFoundError
from engine.herder.herder import BadRequestError, ConfigInfos, ConfigValue, PluginInfo
from engine.herder.plan_client import PlanClient, PlanDiedError
from engine.model.letters.request import LettersRequest
from engine.storage.config_store import StoredPlan
from engine.wire.log_sequence import get_logger
from engine.wire.plan_message import OffsetChange, PlanAnswer, PlannedKey, PlanProblem

_AFTER_VALIDATION = ("start", "task_configs")
_LONGEST_TITLE = 200


class InvalidConfigError(BadRequestError):
    """Validation found errors in a connector's configuration."""


class PlanFailure(msgspec.Struct, frozen=True):
    """A valid configuration of which no plan was made.

    Attributes:
        plan: what is known all the same: type, version, class.
        error: what a client that waits is told; None when the connector is there nevertheless.
        trace: ``Type: message`` and the traceback, for the status.
        is_retriable: the same may work later.
    """

    plan: StoredPlan
    error: ConnectError | None
    trace: str
    is_retriable: bool


class Planner:
    """Runs plugin code for a herder."""

    def __init__(self, client: PlanClient) -> None:
        self._client = client

    async def plan(
        self, name: str, config: Mapping[str, str | None], *, with_tasks: bool
    ) -> StoredPlan | PlanFailure:
        """Validate, and plan the tasks if they are wanted.

        Raises:
            InvalidConfigError: the configuration has errors.
            BadRequestError: there is nothing to validate it with.
            PlanFailedError: the child died before the configuration was found to be valid.
        """
        action = "plan" if with_tasks else "validate"
        try:
            answer = await self._client.run(action, config, f"plan {name}"[:_LONGEST_TITLE])
        except PlanDiedError as died:
            if died.stage not in _AFTER_VALIDATION:
                raise
            return PlanFailure(
                _plan(PlanAnswer(), config), died, _trace_of(died), is_retriable=True
            )
        problem = answer.problem
        if problem is not None and problem.stage not in _AFTER_VALIDATION:
            raise _error(problem)
        _refuse_errors(answer)
        for warning in answer.warnings:
            get_logger(__name__).warning(warning, connector=name)
        plan = _plan(answer, config)
        if problem is None:
            return plan
        error = _error(problem) if problem.stage == "start" else None
        is_retriable = problem.stage == "task_configs" and not problem.is_permanent
        return PlanFailure(plan, error, problem.trace, is_retriable or problem.is_retriable)

    async def validate(self, config: Mapping[str, str | None]) -> ConfigInfos:
        """What is wrong with a configuration."""
        answer = await self._ask("validate", config, "validation")
        return ConfigInfos(
            name=answer.class_name,
            groups=answer.groups,
            configs=[
                (_key(v.key), ConfigValue(v.key.name, v.value, v.key.recommended, v.errors))
                for v in answer.values
            ],
            warnings=answer.warnings,
        )

    async def plugins(self) -> list[PluginInfo]:
        """Everything that is installed."""
        answer = await self._ask("plugins", {}, "list of plugins")
        return [PluginInfo(p.class_name, p.type, p.version) for p in answer.plugins]

    async def plugin_config(self, plugin: str) -> list[ConfigKey]:
        """The keys of one plugin."""
        answer = await self._ask(
            "plugin_config", {"class": plugin}, f"keys of {plugin}"[:_LONGEST_TITLE]
        )
        return [_key(key) for key in answer.keys]

    async def offsets(self, config: Mapping[str, str]) -> Sequence[tuple[Mapping[str, Any], Any]]:
        """The committed offsets of a connector: partitions and offsets in upstream's form."""
        return (
            await self._ask("offsets", config, f"offsets of {config['name']}"[:_LONGEST_TITLE])
        ).offsets

    async def change_offsets(
        self, config: Mapping[str, str], changes: Sequence[OffsetChange] | None
    ) -> bool:
        """Set offsets of a connector without tasks, or forget all; whether it took part in it."""
        title = f"change of offsets of {config['name']}"[:_LONGEST_TITLE]
        wanted = None if changes is None else tuple(changes)
        return (await self._ask("alter_offsets", config, title, offsets=wanted)).is_told

    async def dead_letters(
        self, config: Mapping[str, str], request: LettersRequest
    ) -> Mapping[str, Any]:
        """What is to be known of a connector's dead letters, or was done to them."""
        title = f"dead letters of {config['name']}"[:_LONGEST_TITLE]
        return (await self._ask("dead_letters", config, title, request)).letters or {}

    async def cluster_id(self) -> str | None:
        """The id of the Kafka cluster; None when it cannot be reached."""
        try:
            return (await self._ask("cluster_id", {}, "cluster id")).cluster_id
        except ConnectError:
            return None

    async def _ask(
        self,
        action: str,
        config: Mapping[str, str | None],
        title: str,
        letters: LettersRequest | None = None,
        offsets: tuple[OffsetChange, ...] | None = None,
    ) -> PlanAnswer:
        answer = await self._client.run(action, config, title, letters, offsets)
        if answer.problem is not None:
            raise _error(answer.problem)
        return answer


def _plan(answer: PlanAnswer, config: Mapping[str, str | None]) -> StoredPlan:
    given = {key: value for key, value in config.items() if value is not None}
    return StoredPlan(answer.type, answer.version, answer.class_name, given, answer.task_configs)


def _refuse_errors(answer: PlanAnswer) -> None:
    errors = [error for value in answer.values for error in value.errors]
    if errors:
        raise InvalidConfigError(
            f"Connector configuration is invalid and contains the following {len(errors)} error(s):"
            + "".join(f"\n{error}" for error in errors)
            + "\nYou can also find the above list of errors at the endpoint"
            " `/connector-plugins/{connectorType}/config/validate`"
        )


def _error(problem: PlanProblem) -> ConnectError:
    match problem.kind:
        case "bad_request":
            return BadRequestError(problem.summary)
        case "not_found":
            return NotFoundError(problem.summary)
        case _:
            return ConnectError(problem.summary)


def _trace_of(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _key(planned: PlannedKey) -> ConfigKey:
    return ConfigKey(
        name=planned.name,
        type=ConfigType(planned.type),
        default=REQUIRED if planned.required else planned.default,
        doc=planned.doc,
        importance=Importance(planned.importance),
        group=planned.group,
        order=planned.order,
        width=planned.width,
        display_name=planned.display_name,
        recommended=planned.recommended,
    )
