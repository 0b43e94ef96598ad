"""A herder in memory: real names, states and refusals, but no process runs anything."""

import difflib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from engine.api.config import HIGH, ConfigKey, ConfigType, Importance
from engine.api.errors import AlreadyExistsError, ConnectError, NotFoundError
from engine.herder.herder import (
    BadRequestError,
    ConfigInfos,
    ConfigValue,
    ConnectorInfo,
    ConnectorStateInfo,
    InstanceState,
    PlanFailedError,
    PluginInfo,
    TaskCounters,
    TaskView,
    WorkerView,
)
from engine.herder.sampler import Sample
from engine.model.death import Death
from engine.model.letters.request import LettersRequest
from engine.model.slot import FIELDS
from engine.model.state import ON_THE_WIRE, Condition, State, TargetState
from engine.model.task_id import TaskId
from engine.wire.herder_message import Losses, Reloaded, TaskReport, UpgradeState, ZygoteSeen
from engine.wire.plan_message import OffsetChange

SOURCE = "org.apache.kafka.connect.file.FileStreamSourceConnector"
SINK = "org.apache.kafka.connect.file.FileStreamSinkConnector"
WORKER_ID = "127.0.0.1:8083"

KEYS = (
    ConfigKey("name", ConfigType.STRING, doc="Its name.", importance=HIGH, group="Common", order=1),
    ConfigKey("tasks.max", ConfigType.INT, default=1, doc="Most tasks.", group="Common", order=2),
    ConfigKey("file", ConfigType.STRING, default=None, doc="The file.", importance=Importance.LOW),
)


@dataclass
class Entry:
    """What is known of one connector."""

    config: dict[str, str]
    target: TargetState = TargetState.STARTED
    failed: str | None = None
    tasks: dict[int, TaskReport] = field(default_factory=dict)

    @property
    def type(self) -> str:
        return "sink" if "Sink" in self.config["connector.class"] else "source"


def slot_of(**values: int) -> dict[str, int]:
    """The values of a slot; those not given are zero, the lag unknown."""
    return {**dict.fromkeys(FIELDS, 0), "lag": -1, **values}


class FakeHerder:
    """Implements :class:`engine.herder.herder.Herder`.

    Attributes:
        entries: by name; tests may change them.
        restarted: texts of what was restarted.
        ready: answer of :meth:`is_ready`.
        logs: log file by task.
        slots: slot values by task.
        offsets_problem: why offsets cannot be told.
        offsets_changed: what was asked to be set; None for a reset.
        reloaded: answer of :meth:`reload`.
        upgrade: what :meth:`worker_view` says of upgrades.
        upgraded: what that will be after the next one.
        levels: that were set, by connector and logger.
        journal: the journal's file.
        losses: what could not be written.
        deaths: how the last process of each task ended.
        letters_asked: what was asked about dead letters.
        sampled_pids: pids of the processes that were measured last, where it is not the one alive.
    """

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.restarted: list[str] = []
        self.ready = True
        self.logs: dict[TaskId, Path] = {}
        self.slots: dict[TaskId, Mapping[str, int]] = {}
        self.offsets_problem = ""
        self.offsets_changed: list[Sequence[OffsetChange] | None] = []
        self.reloaded = Reloaded()
        self.upgrade = UpgradeState()
        self.zygote: ZygoteSeen | None = None
        self.upgraded = UpgradeState(upgrades=1)
        self.sampled_pids: dict[TaskId, int] = {}
        self.generation = 0
        self.levels: dict[str | None, dict[str, tuple[str, int | None]]] = {}
        self.journal: Path | None = None
        self.losses = Losses()
        self.deaths: dict[TaskId, Death] = {}
        self.letters_asked: list[LettersRequest] = []

    # -- reading -------------------------------------------------------------------------------

    async def connectors(self) -> Sequence[str]:
        return sorted(self.entries)

    def _entry(self, name: str, message: str = "Connector {} not found") -> Entry:
        if name not in self.entries:
            raise NotFoundError(message.format(name))
        return self.entries[name]

    async def connector_info(self, name: str) -> ConnectorInfo:
        return self._info(name, self._entry(name))

    def _info(self, name: str, entry: Entry) -> ConnectorInfo:
        tasks = [TaskId(name, number) for number in sorted(entry.tasks)]
        return ConnectorInfo(name, dict(entry.config), tasks, entry.type)

    async def task_configs(self, name: str) -> Sequence[tuple[TaskId, Mapping[str, str]]]:
        entry = self._entry(name)
        made = {**entry.config, "task.class": f"{entry.config['connector.class']}Task"}
        return [(TaskId(name, number), made) for number in sorted(entry.tasks)]

    async def connector_status(self, name: str) -> ConnectorStateInfo:
        entry = self._entry(name, "No status found for connector {}")
        tasks = {number: self._instance(report) for number, report in entry.tasks.items()}
        return ConnectorStateInfo(name, self._connector_state(entry), tasks, entry.type)

    def _connector_state(self, entry: Entry) -> InstanceState:
        if entry.failed:
            return InstanceState(State.FAILED, WORKER_ID, None, entry.failed)
        state = {
            TargetState.STARTED: State.RUNNING,
            TargetState.PAUSED: State.PAUSED,
            TargetState.STOPPED: State.STOPPED,
        }[entry.target]
        return InstanceState(state, WORKER_ID, "4.3.1")

    def _instance(self, report: TaskReport) -> InstanceState:
        state = ON_THE_WIRE[Condition(report.condition)]
        return InstanceState(state, WORKER_ID, "4.3.1", report.trace)

    async def task_status(self, task: TaskId) -> InstanceState:
        entry = self.entries.get(task.connector)
        if entry is None or task.task not in entry.tasks:
            raise NotFoundError(f"No status found for task {task}")
        return self._instance(entry.tasks[task.task])

    async def dead_letters(self, name: str, request: LettersRequest) -> Mapping[str, Any]:
        self._entry(name)
        self.letters_asked.append(request)
        return {"action": request.action}

    async def connector_offsets(self, name: str) -> Sequence[tuple[Mapping[str, Any], Any]]:
        self._entry(name)
        if self.offsets_problem:
            raise PlanFailedError(self.offsets_problem)
        return [({"filename": "/var/log/dpkg.log"}, {"position": 42})]

    async def change_offsets(self, name: str, changes: Sequence[OffsetChange] | None) -> bool:
        self._entry(name)
        self.offsets_changed.append(changes)
        return name != "external"

    # -- changing ------------------------------------------------------------------------------

    async def put_connector_config(
        self,
        name: str,
        config: Mapping[str, str | None],
        *,
        initial_state: TargetState | None = None,
        allow_replace: bool,
    ) -> tuple[bool, ConnectorInfo]:
        checked = self._checked(name, config)
        old = self.entries.get(name)
        if old is not None and not allow_replace:
            raise AlreadyExistsError(f"Connector {name} already exists")
        target = old.target if old else initial_state or TargetState.STARTED
        self.entries[name] = Entry(checked, target)
        if target is TargetState.STARTED:
            self._plan(name)
        return old is None, self._info(name, self.entries[name])

    def _checked(self, name: str, config: Mapping[str, str | None]) -> dict[str, str]:
        inner = config.get("name")
        if inner not in (None, name):
            raise BadRequestError(
                f"Connector name configuration ({inner}) doesn't match connector name in the URL "
                f"({name})"
            )
        config = {**config, "name": name}
        if config.get("hangs") == "true":
            raise PlanFailedError("The connector's configuration was not checked within 10 s")
        if config.get("bug") == "true":
            raise ZeroDivisionError("division by zero")
        if not config.get("connector.class"):
            raise BadRequestError(f"Connector config {{name={name}}} contains no connector type")
        problems = [
            "Null value can not be supplied as the configuration value."
            for value in config.values()
            if value is None
        ]
        if not name:
            problems.append("Invalid value  for configuration name: String may not be empty")
        if problems:
            raise BadRequestError(
                "Connector configuration is invalid and contains the following "
                f"{len(problems)} error(s):\n" + "\n".join(problems)
            )
        return {key: value for key, value in config.items() if value is not None}

    def _plan(self, name: str) -> None:
        entry = self.entries[name]
        for number in range(int(entry.config.get("tasks.max", "1"))):
            self.generation += 1
            entry.tasks[number] = TaskReport(
                name, number, self.generation, Condition.RUNNING, "hash", pid=1000 + self.generation
            )

    async def patch_connector_config(
        self, name: str, patch: Mapping[str, str | None]
    ) -> ConnectorInfo:
        entry = self._entry(name)
        if patch.get("name", name) is None:
            raise BadRequestError(
                'Missing required configuration "name" which has no default value.'
            )
        patched = {**entry.config, **patch}
        kept = {key: value for key, value in patched.items() if value is not None}
        return (await self.put_connector_config(name, kept, allow_replace=True))[1]

    async def delete_connector(self, name: str) -> None:
        self._entry(name)
        del self.entries[name]

    async def pause_connector(self, name: str) -> None:
        entry = self._entry(name, "Unknown connector {}")
        entry.target = TargetState.PAUSED
        self.set_tasks(name, condition=Condition.PAUSED)

    async def resume_connector(self, name: str) -> None:
        entry = self._entry(name, "Unknown connector {}")
        entry.target = TargetState.STARTED
        self._plan(name)

    async def stop_connector(self, name: str) -> None:
        if name not in self.entries:
            raise ConnectError(f"No connector `{name}` configured")
        entry = self._entry(name)
        entry.target = TargetState.STOPPED
        entry.tasks.clear()

    async def restart_connector(self, name: str) -> None:
        self._entry(name, "Unknown connector: {}")
        self.restarted.append(name)

    async def restart_connector_and_tasks(
        self, name: str, *, only_failed: bool, include_tasks: bool
    ) -> ConnectorStateInfo:
        self._entry(name, "Unknown connector: {}")
        status = await self.connector_status(name)
        connector, tasks = status.connector, dict(status.tasks)
        if not only_failed or connector.state is State.FAILED:
            connector = InstanceState(State.RESTARTING, WORKER_ID, "4.3.1")
            self.restarted.append(name)
        for number, task in tasks.items():
            if include_tasks and (not only_failed or task.state is State.FAILED):
                tasks[number] = InstanceState(State.RESTARTING, WORKER_ID, "4.3.1")
                self.restarted.append(f"{name}-{number}")
        return replace(status, connector=connector, tasks=tasks)

    async def restart_task(self, task: TaskId) -> None:
        entry = self._entry(task.connector, "Unknown connector: {}")
        if task.task not in entry.tasks:
            raise NotFoundError(f"Task {task} not found")
        self.restarted.append(str(task))

    async def reload(self) -> Reloaded:
        return self.reloaded

    def request_upgrade(self) -> int:
        self.upgrade = msgspec.structs.replace(self.upgraded, attempts=self.upgrade.attempts + 1)
        return self.upgrade.attempts

    # -- plugins -------------------------------------------------------------------------------

    async def validate(self, config: Mapping[str, str | None]) -> ConfigInfos:
        plugin = config.get("connector.class")
        if not plugin:
            raise BadRequestError("Connector config {} contains no connector type")
        values = []
        for key in KEYS:
            problems: list[str] = []
            try:
                key.parse(config.get(key.name))
            except ValueError as error:
                problems.append(str(error))
            values.append((key, ConfigValue(key.name, config.get(key.name), errors=problems)))
        known = [key.name for key in KEYS] + ["connector.class", "topic"]
        warnings = [
            f"Unknown key {name}, did you mean {difflib.get_close_matches(name, known)[0]}?"
            for name in config
            if name not in known
        ]
        return ConfigInfos(plugin, ["Common"], values, warnings)

    async def plugins(self, *, connectors_only: bool) -> Sequence[PluginInfo]:
        connectors = [PluginInfo(SINK, "sink", "4.3.1"), PluginInfo(SOURCE, "source", "4.3.1")]
        others = [PluginInfo("engine.converters.StringConverter", "converter", None)]
        return connectors if connectors_only else connectors + others

    async def plugin_config(self, plugin: str) -> Sequence[ConfigKey]:
        if plugin not in (SOURCE, SINK, "FileStreamSource", "FileStreamSink"):
            raise NotFoundError(f"Unknown plugin {plugin}.")
        return KEYS

    # -- the engine's own ----------------------------------------------------------------------

    async def log_levels(self, connector: str | None) -> Mapping[str, tuple[str, int | None]]:
        if connector is not None:
            await self.connector_info(connector)
        return {"root": ("INFO", None), **self.levels.get(connector, {})}

    async def set_log_level(self, connector: str | None, logger: str, level: str) -> Sequence[str]:
        before = (await self.log_levels(connector)).get(logger, ("INFO", None))[0]
        self.levels.setdefault(connector, {})[logger] = (level, 1_700_000_000_000)
        return [] if before == level else [logger]

    def is_ready(self) -> bool:
        return self.ready

    def task_views(self) -> Sequence[TaskView]:
        return [
            self._view(TaskId(name, number), entry.type, report)
            for name, entry in sorted(self.entries.items())
            for number, report in sorted(entry.tasks.items())
        ]

    def _view(self, task: TaskId, kind: str, report: TaskReport) -> TaskView:
        slot = self.slots.get(task) or slot_of(heartbeat_ns=time.monotonic_ns(), stage=2)
        pid = self.sampled_pids.get(task, report.pid)
        sample = (
            Sample(task.connector, task.task, pid, 1.5, 30 << 20, 5 << 20, 0.0) if pid else None
        )
        log, death = self.logs.get(task), self.deaths.get(task)
        return TaskView(task, kind, report, slot, sample, log, death)

    def task_counters(self) -> Sequence[TaskCounters]:
        return [
            TaskCounters(
                view.id, view.report.pid, view.slot["records_in"], view.slot["records_out"],
                view.sample,
            )
            for view in self.task_views()
        ]  # fmt: skip

    def worker_view(self) -> WorkerView:
        return WorkerView(
            "0.1.0", "c0ffee", "cluster", WORKER_ID, 10, 11, 0.001, self.zygote, 1, 2,
            upgrade=self.upgrade, journal_file=self.journal, losses=self.losses,
        )  # fmt: skip

    # -- for tests -----------------------------------------------------------------------------

    def add(self, name: str, cls: str = SOURCE, **config: str) -> None:
        """A connector as if it had been created."""
        made = {key.replace("_", "."): value for key, value in config.items()}
        self.entries[name] = Entry({"connector.class": cls, **made, "name": name})
        self._plan(name)

    def set_tasks(self, name: str, task: int | None = None, **changes: Any) -> None:
        """Change what is reported of one task or of all."""
        tasks = self.entries[name].tasks
        for number, report in tasks.items():
            if task in (None, number):
                values = {each: getattr(report, each) for each in report.__struct_fields__}
                tasks[number] = TaskReport(**{**values, **changes})
