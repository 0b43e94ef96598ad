"""The herder of one worker without a cluster: what the REST API asks, answered from one process."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

import engine
from engine.api.config import ConfigKey
from engine.api.errors import ConnectError, NotFoundError
from engine.herder.background import Background
from engine.herder.connector_files import ConnectorFiles
from engine.herder.herder import (
    BadRequestError,
    ConfigInfos,
    ConnectorInfo,
    ConnectorStateInfo,
    InstanceState,
    PluginInfo,
    TaskCounters,
    TaskView,
    WorkerView,
)  # fmt: skip
from engine.herder.planner import Planner
from engine.herder.restart_plan import RestartRequest, plan_restart
from engine.herder.task_table import TaskTable
from engine.herder.worker_connectors import WorkerConnectors
from engine.model.letters.request import LettersRequest
from engine.model.state import State, TargetState
from engine.model.task_id import TaskId
from engine.wire.herder_message import Reloaded, SupervisorSample, UpgradeState
from engine.wire.plan_message import OffsetChange

_UNKNOWN = "Unknown connector: {}"
_LONGEST_NAME = 4096


class WorkerFacts(msgspec.Struct):
    """What is known of the worker itself; filled in as it becomes known."""

    worker_id: str
    supervisor_pid: int = 0
    kafka_cluster_id: str | None = None
    sample: SupervisorSample = msgspec.field(default_factory=SupervisorSample)
    upgrade: UpgradeState = msgspec.field(default_factory=UpgradeState)
    is_ready: bool = False
    journal_file: Path | None = None


class StandaloneHerder:
    """Implements :class:`engine.herder.herder.Herder`."""

    def __init__(
        self,
        connectors: WorkerConnectors,
        table: TaskTable,
        planner: Planner,
        facts: WorkerFacts,
        files: ConnectorFiles,
        request_upgrade: Callable[[], None],
    ) -> None:
        self._connectors = connectors
        self._table = table
        self._planner = planner
        self._facts = facts
        self._files = files
        self._request_upgrade = request_upgrade
        self._background = Background()

    # ---- reading ------------------------------------------------------------------------------

    async def connectors(self) -> Sequence[str]:
        """See the protocol."""
        return [entry.name for entry in self._connectors]

    async def connector_info(self, name: str) -> ConnectorInfo:
        """See the protocol."""
        entry = self._connectors.entry(name)
        return ConnectorInfo(name, entry.stored.config, entry.task_ids, entry.type)

    async def task_configs(self, name: str) -> Sequence[tuple[TaskId, Mapping[str, str]]]:
        """See the protocol."""
        entry = self._connectors.entry(name)
        return list(zip(entry.task_ids, entry.task_configs, strict=True))

    async def connector_status(self, name: str) -> ConnectorStateInfo:
        """See the protocol."""
        return self._status(name, "No status found for connector {}")

    def _status(self, name: str, unknown: str) -> ConnectorStateInfo:
        entry = self._connectors.entry(name, unknown)
        state = State.RESTARTING if entry.is_restarting else entry.state
        trace = entry.trace if state is State.FAILED else None
        return ConnectorStateInfo(
            name=name,
            connector=InstanceState(state, self._facts.worker_id, entry.version, trace),
            tasks={t.task: self._table.state_of(t, entry.version) for t in entry.task_ids},
            type=entry.type,
        )

    async def task_status(self, task: TaskId) -> InstanceState:
        """See the protocol."""
        entry = self._connectors.get(task.connector)
        if entry is None or task not in entry.task_ids:
            raise NotFoundError(f"No status found for task {task}")
        return self._table.state_of(task, entry.version)

    async def connector_offsets(self, name: str) -> Sequence[tuple[Mapping[str, Any], Any]]:
        """See the protocol."""
        entry = self._connectors.entry(name)
        return await self._planner.offsets(entry.stored.config)

    async def dead_letters(self, name: str, request: LettersRequest) -> Mapping[str, Any]:
        """See the protocol."""
        entry = self._connectors.entry(name)
        answer = await self._planner.dead_letters(entry.stored.config, request)
        self._connectors.journal.handled_letters(name, request, answer)
        return answer

    async def log_levels(self, connector: str | None) -> Mapping[str, tuple[str, int | None]]:
        """See the protocol."""
        return self._connectors.levels.shown(connector, self._config_of(connector))

    def _config_of(self, connector: str | None) -> Mapping[str, str]:
        return {} if connector is None else self._connectors.entry(connector).stored.config

    def is_ready(self) -> bool:
        """See the protocol."""
        return self._facts.is_ready

    def task_counters(self) -> Sequence[TaskCounters]:
        """See the protocol."""
        return self._table.counters()

    def task_views(self) -> Sequence[TaskView]:
        """See the protocol."""
        return self._table.views({entry.name: entry.type for entry in self._connectors})

    def worker_view(self) -> WorkerView:
        """See the protocol."""
        sample = self._facts.sample
        return WorkerView(
            version=engine.__version__,
            commit="unknown",
            kafka_cluster_id=self._facts.kafka_cluster_id,
            worker_id=self._facts.worker_id,
            supervisor_pid=self._facts.supervisor_pid,
            herder_pid=os.getpid(),
            loop_lag_seconds=sample.loop_lag_seconds,
            zygote=sample.zygote,
            zygote_restarts=sample.zygote_restarts,
            herder_restarts=sample.herder_restarts,
            journal_file=self._facts.journal_file,
            losses=sample.losses,
            upgrade=self._facts.upgrade,
        )

    # ---- changing -----------------------------------------------------------------------------

    async def change_offsets(self, name: str, changes: Sequence[OffsetChange] | None) -> bool:
        """See the protocol."""
        return await self._background.finish(self._connectors.change_offsets(name, changes))

    async def set_log_level(self, connector: str | None, logger: str, level: str) -> Sequence[str]:
        """See the protocol."""
        return self._connectors.levels.set(connector, logger, level, self._config_of(connector))

    async def put_connector_config(
        self,
        name: str,
        config: Mapping[str, str | None],
        *,
        initial_state: TargetState | None = None,
        allow_replace: bool,
    ) -> tuple[bool, ConnectorInfo]:
        """See the protocol."""
        named = _named(name, config)
        is_new = await self._background.finish(
            self._connectors.put(
                name, named, initial_state=initial_state, allow_replace=allow_replace
            )
        )
        return is_new, await self.connector_info(name)

    async def patch_connector_config(
        self, name: str, patch: Mapping[str, str | None]
    ) -> ConnectorInfo:
        """See the protocol."""
        self._connectors.entry(name)
        if "name" in patch and patch["name"] is None:
            raise BadRequestError(
                'Missing required configuration "name" which has no default value.'
            )
        await self._background.finish(self._connectors.patch(name, _named(name, patch)))
        return await self.connector_info(name)

    async def delete_connector(self, name: str) -> None:
        """See the protocol."""
        await self._background.finish(self._connectors.delete(name))

    async def pause_connector(self, name: str) -> None:
        """See the protocol."""
        await self._transition(name, TargetState.PAUSED)

    async def resume_connector(self, name: str) -> None:
        """See the protocol."""
        await self._transition(name, TargetState.STARTED)

    async def stop_connector(self, name: str) -> None:
        """See the protocol; upstream answers 500 for a connector that nobody configured."""
        try:
            await self._transition(name, TargetState.STOPPED)
        except NotFoundError:
            raise ConnectError(f"No connector `{name}` configured") from None

    async def _transition(self, name: str, target: TargetState) -> None:
        """A client that gives up changes nothing: what has begun is finished."""
        await self._background.finish(self._connectors.transition_to(name, target))

    async def restart_connector(self, name: str) -> None:
        """See the protocol."""
        self._connectors.entry(name, _UNKNOWN)
        problem = await self._background.finish(self._connectors.replan(name))
        if problem is not None:
            raise problem

    async def restart_connector_and_tasks(
        self, name: str, *, only_failed: bool, include_tasks: bool
    ) -> ConnectorStateInfo:
        """See the protocol."""
        status = self._status(name, _UNKNOWN)
        backing_off = {n for n in status.tasks if self._table.is_backing_off(TaskId(name, n))}
        request = RestartRequest(name, only_failed, include_tasks)
        plan = plan_restart(request, status, backing_off)
        for number in plan.tasks:
            self._table.restarting(TaskId(name, number))
        if plan.restarts_connector:
            self._connectors.entry(name).is_restarting = True
            self._background.run(self._restart(name, plan.tasks))
        else:
            self._connectors.restart_tasks(name, plan.tasks)
        return plan.status

    async def _restart(self, name: str, tasks: tuple[int, ...]) -> None:
        """First the connector, for its plan may give the tasks another configuration."""
        try:
            await self._connectors.replan(name)
        finally:
            self._connectors.restart_tasks(name, tasks)

    async def restart_task(self, task: TaskId) -> None:
        """See the protocol."""
        entry = self._connectors.entry(task.connector, _UNKNOWN)
        if task not in entry.task_ids:
            raise NotFoundError(f"Task {task} not found")
        self._table.restarting(task)
        self._connectors.restart_tasks(task.connector, (task.task,))

    async def reload(self) -> Reloaded:
        """See the protocol."""
        return await self._background.finish(self._files.reload())

    def request_upgrade(self) -> int:
        """See the protocol."""
        self._request_upgrade()
        return self._facts.upgrade.attempts + 1

    # ---- plugins ------------------------------------------------------------------------------

    async def validate(self, config: Mapping[str, str | None]) -> ConfigInfos:
        """See the protocol."""
        return await self._planner.validate(config)

    async def plugins(self, *, connectors_only: bool) -> Sequence[PluginInfo]:
        """See the protocol."""
        found = await self._planner.plugins()
        return [p for p in found if not connectors_only or p.type in ("source", "sink")]

    async def plugin_config(self, plugin: str) -> Sequence[ConfigKey]:
        """See the protocol."""
        return await self._planner.plugin_config(plugin)


def _named(name: str, config: Mapping[str, str | None]) -> dict[str, str | None]:
    """The configuration with the connector's name in it.

    Raises:
        BadRequestError: it says another name, or one that is too long.
    """
    if len(name) > _LONGEST_NAME:
        raise BadRequestError(f"Connector names have at most {_LONGEST_NAME} characters")
    inner = config.get("name")
    if inner is not None and inner != name:
        raise BadRequestError(
            f"Connector name configuration ({inner}) doesn't match connector name in the URL"
            f" ({name})"
        )
    return {**config, "name": name}
