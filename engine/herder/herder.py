"""What the REST API asks of a herder (upstream: ``Herder``), and the values it gets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from engine.api.config import ConfigKey
from engine.api.errors import ConnectError
from engine.herder.sampler import Sample
from engine.model.death import Death
from engine.model.letters.request import LettersRequest
from engine.model.state import State, TargetState
from engine.model.task_id import TaskId
from engine.wire.herder_message import Losses, Reloaded, TaskReport, UpgradeState, ZygoteSeen
from engine.wire.plan_message import OffsetChange


class BadRequestError(ConnectError):
    """A request that cannot be meant so → 400 with this message."""


class PlanFailedError(ConnectError):
    """Plugin code did not answer: it died or passed its deadline → 500 with this message."""


class ConnectorInfo(msgspec.Struct, frozen=True):
    """A connector as it was configured; ``type`` is ``source``, ``sink`` or ``unknown``."""

    name: str
    config: Mapping[str, str]
    tasks: Sequence[TaskId]
    type: str


class InstanceState(msgspec.Struct, frozen=True):
    """State of a connector or of one task; ``trace`` is None unless something failed."""

    state: State
    worker_id: str
    version: str | None = None
    trace: str | None = None


class ConnectorStateInfo(msgspec.Struct, frozen=True):
    """State of a connector and of its tasks, by task number."""

    name: str
    connector: InstanceState
    tasks: Mapping[int, InstanceState]
    type: str


class ConfigValue(msgspec.Struct, frozen=True):
    """One key of a validated configuration."""

    name: str
    value: str | None
    recommended_values: Sequence[str] = ()
    errors: Sequence[str] = ()
    visible: bool = True


class ConfigInfos(msgspec.Struct, frozen=True):
    """What validation found (upstream: ``ConfigInfos``).

    ``warnings`` is ours: keys that nobody knows, with the nearest known one.
    """

    name: str
    groups: Sequence[str]
    configs: Sequence[tuple[ConfigKey, ConfigValue]]
    warnings: Sequence[str] = ()

    @property
    def error_count(self) -> int:
        """Number of errors, not of keys with errors."""
        return sum(len(value.errors) for _, value in self.configs)


class PluginInfo(msgspec.Struct, frozen=True):
    """One installed plugin; ``type`` as in REST (``source``, ``sink``, ``converter`` …)."""

    class_name: str
    type: str
    version: str | None


class TaskView(msgspec.Struct, frozen=True):
    """All that is known of a task: for ``/engine/tasks`` and the metrics.

    Attributes:
        slot: values of :mod:`engine.model.slot` by name.
        sample: what the process uses, once measured.
        death: how the last process ended, if one has since the engine started.
        log_lost_bytes: what its processes printed and nobody could keep.
        former_cpu_seconds: what those before the one that was measured last have used.
    """

    id: TaskId
    type: str
    report: TaskReport
    slot: Mapping[str, int]
    sample: Sample | None = None
    log_file: Path | None = None
    death: Death | None = None
    log_lost_bytes: int = 0
    former_cpu_seconds: float = 0.0


class TaskCounters(NamedTuple):
    """Of a task's view what changes all the time."""

    id: TaskId
    pid: int | None
    records_in: int
    records_out: int
    sample: Sample | None


class WorkerView(msgspec.Struct, frozen=True):
    """What is known of the worker itself."""

    version: str
    commit: str
    kafka_cluster_id: str | None
    worker_id: str
    supervisor_pid: int
    herder_pid: int
    loop_lag_seconds: float = 0.0
    zygote: ZygoteSeen | None = None
    zygote_restarts: int = 0
    herder_restarts: int = 0
    journal_file: Path | None = None
    losses: Losses = msgspec.field(default_factory=Losses)
    upgrade: UpgradeState = msgspec.field(default_factory=UpgradeState)


class Herder(Protocol):
    """What REST needs. Unknown connectors raise NotFoundError, bad requests BadRequestError."""

    async def connectors(self) -> Sequence[str]:
        """Names, in alphabetical order."""

    async def connector_info(self, name: str) -> ConnectorInfo:
        """Raises NotFoundError(``Connector X not found``)."""

    async def put_connector_config(
        self,
        name: str,
        config: Mapping[str, str | None],
        *,
        initial_state: TargetState | None = None,
        allow_replace: bool,
    ) -> tuple[bool, ConnectorInfo]:
        """Create or change a connector; True when it was created.

        Raises:
            BadRequestError: the configuration is invalid, or names another connector, with
                upstream's text.
            AlreadyExistsError: it exists and may not be replaced.
            PlanFailedError: the plugin did not answer.
        """

    async def patch_connector_config(
        self, name: str, patch: Mapping[str, str | None]
    ) -> ConnectorInfo:
        """Change some keys; None removes one. The name can be neither changed nor removed."""

    async def delete_connector(self, name: str) -> None:
        """Stop it for good and forget its configuration; offsets and topics stay."""

    async def task_configs(self, name: str) -> Sequence[tuple[TaskId, Mapping[str, str]]]:
        """The tasks' configurations, unresolved."""

    async def connector_status(self, name: str) -> ConnectorStateInfo:
        """Raises NotFoundError(``No status found for connector X``)."""

    async def task_status(self, task: TaskId) -> InstanceState:
        """Raises NotFoundError(``No status found for task X-0``)."""

    async def pause_connector(self, name: str) -> None:
        """Target state PAUSED; the processes stay. Unknown: ``Unknown connector X``."""

    async def resume_connector(self, name: str) -> None:
        """Target state STARTED; from STOPPED the tasks are planned again."""

    async def stop_connector(self, name: str) -> None:
        """Target state STOPPED; no task is left. Unknown: ConnectError with upstream's text."""

    async def restart_connector(self, name: str) -> None:
        """Plan the connector again; tasks stay unless their configurations change."""

    async def restart_connector_and_tasks(
        self, name: str, *, only_failed: bool, include_tasks: bool
    ) -> ConnectorStateInfo:
        """Restart what the flags name (KIP-745); what is restarted reads RESTARTING."""

    async def restart_task(self, task: TaskId) -> None:
        """Give the task a fresh process; clears the restart counters."""

    async def reload(self) -> Reloaded:
        """Read the connector files of the command line again and apply what changed."""

    def request_upgrade(self) -> int:
        """Have the installed version take the running one's place; the number of the attempt."""

    async def validate(self, config: Mapping[str, str | None]) -> ConfigInfos:
        """Check a configuration without using it."""

    async def plugins(self, *, connectors_only: bool) -> Sequence[PluginInfo]:
        """What is installed."""

    async def plugin_config(self, plugin: str) -> Sequence[ConfigKey]:
        """The keys of one plugin. Raises NotFoundError(``Unknown plugin X.``)."""

    async def connector_offsets(self, name: str) -> Sequence[tuple[Mapping[str, Any], Any]]:
        """Committed offsets: (partition, offset) pairs in upstream's form."""

    async def change_offsets(self, name: str, changes: Sequence[OffsetChange] | None) -> bool:
        """Set committed offsets of a connector that is STOPPED, or forget all of them.

        Args:
            name: the connector's.
            changes: partitions and their new offsets, None to forget one; None to forget all.

        Returns:
            Whether the connector itself took part in it.

        Raises:
            BadRequestError: it is not STOPPED, tasks of it are left, or these are no offsets.
            ConnectError: the connector or the cluster refuses.
        """

    async def dead_letters(self, name: str, request: LettersRequest) -> Mapping[str, Any]:
        """Look at a connector's dead letters, or do something to them."""

    async def log_levels(self, connector: str | None) -> Mapping[str, tuple[str, int | None]]:
        """Levels by logger, and when they were set (ms since the epoch), None for inherited ones.

        Args:
            connector: its tasks; None for the worker.
        """

    async def set_log_level(self, connector: str | None, logger: str, level: str) -> Sequence[str]:
        """Set a level while everything runs; the loggers whose level that changed."""

    def is_ready(self) -> bool:
        """Whether start-up is over: connectors of the command line are planned."""

    def task_counters(self) -> Sequence[TaskCounters]:
        """Every task's counters: little work, for who looks often."""

    def task_views(self) -> Sequence[TaskView]:
        """Every task that the supervisor knows, in order."""

    def worker_view(self) -> WorkerView:
        """The worker."""
