"""What herder and supervisor say to each other, and what a herder begins with."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from engine.model.death import Death
from engine.model.limits import Limits
from engine.model.log_levels import LevelSetting
from engine.model.state import TargetState
from engine.model.supervision import Supervision
from engine.wire.channel import shorten
from engine.wire.message import PROTOCOL_VERSION, Message

_MOST: Final = 50
_LONGEST_NAME: Final = 256
_LONGEST_TEXT: Final = 1024

# ---- herder → supervisor ---------------------------------------------------------------------


class SyncBegin(Message, frozen=True, array_like=True):
    """A herder begins to say what it wants: the whole set of tasks follows."""

    revision: int


class Desire(Message, frozen=True, array_like=True):
    """One task that is to run. Descriptor: a sealed memfd with its TaskAssignment.

    An equal ``config_hash`` of a task that runs already changes nothing but its target state.
    ``by`` is, as in the other orders, who wants it: see :mod:`engine.model.journal_event`.
    """

    connector: str
    task: int
    config_hash: str
    paused: bool
    supervision: Supervision
    by: str = "herder"


class SyncEnd(Message, frozen=True, array_like=True):
    """The set is complete. Tasks that were not in it are stopped, unless the set is empty."""

    revision: int
    count: int


class TellAgain(Message, frozen=True, array_like=True):
    """This task was wanted when there was no room for it; there may be now."""

    connector: str
    task: int


class Drop(Message, frozen=True, array_like=True):
    """This task is to end for good; the answer is the event ``Gone``."""

    connector: str
    task: int
    by: str = "herder"


class RestartTask(Message, frozen=True, array_like=True):
    """An operator wants a fresh process: counters of the restart policy are cleared."""

    connector: str
    task: int
    by: str = "herder"


class SetLogLevels(Message, frozen=True, array_like=True):
    """Levels that somebody has set, in place of all that were set in this scope before.

    Attributes:
        connector: for its tasks; None for all of the worker.
        levels: by logger.
    """

    connector: str | None
    levels: dict[str, LevelSetting]
    by: str = "herder"


class Remark(Message, frozen=True, array_like=True):
    """Something for the journal that only the herder knows, such as a changed configuration.

    Attributes:
        fields: as :mod:`engine.model.journal_event` names them.
        by: who did it.
    """

    event: str
    fields: dict[str, Any]
    by: str = "herder"


class Plan(Message, frozen=True, array_like=True):
    """Run plugin code in a short-lived child. Descriptors: its socket, its PlanRequest memfd."""

    token: int
    title: str
    deadline: float


class Ack(Message, frozen=True, array_like=True):
    """Events up to this one are stored."""

    seq: int


class HerderReady(Message, frozen=True, array_like=True):
    """The REST API answers and the first set of tasks is told."""


class UpgradeRequested(Message, frozen=True, array_like=True):
    """Somebody wants the installed version to take the place of the running one."""


class Reloaded(Message, frozen=True, array_like=True):
    """The connector files were read again; the answer to Reload.

    Attributes:
        changed: ``created``, ``updated`` or ``deleted``, by connector.
        problems: what stays as it was, and why.
        pending: what only a new start of the engine's processes applies.
    """

    changed: Mapping[str, str] = {}
    problems: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()

    def shortened(self) -> "Reloaded":
        """The same as a message may carry it; the herder's own log has it whole."""
        return Reloaded(
            {shorten(name, _LONGEST_NAME): how for name, how in list(self.changed.items())[:_MOST]},
            _first(self.problems),
            _first(self.pending),
        )


def _first(texts: tuple[str, ...]) -> tuple[str, ...]:
    more = (f"and {len(texts) - _MOST} more",) if len(texts) > _MOST else ()
    return (*(shorten(text, _LONGEST_TEXT) for text in texts[:_MOST]), *more)


class Refused(Message, frozen=True, array_like=True):
    """The herder cannot begin with what it was given, so it ends, and the engine with it.

    Attributes:
        connector: one of the command line that cannot be made; None when something else is wrong.
        problem: for whoever typed the command; may have several lines.
    """

    connector: str | None
    problem: str


# ---- supervisor → herder ---------------------------------------------------------------------


class Welcome(Message, frozen=True, array_like=True):
    """First word to a herder. Descriptor: the listening socket, if there is one.

    TaskSnapshots follow and then SnapshotEnd.
    """

    supervisor_pid: int
    epoch: int
    protocol: int = PROTOCOL_VERSION


class LogLevelsSet(Message, frozen=True, array_like=True):
    """What an earlier herder has set; comes before SnapshotEnd. See SetLogLevels."""

    connector: str | None
    levels: dict[str, LevelSetting]


class TaskReport(msgspec.Struct, frozen=True, array_like=True):
    """All that the supervisor knows of a task.

    Attributes:
        condition: a value of :class:`engine.model.state.Condition`.
        reason: why the last process ended, in one sentence; None while none has.
        trace: what the status shows of a task that FAILED; empty where that is the ``trace`` of its
            death, which is told beside it or was told before.
        note: what a running task waits for or suffers from.
        restarts: how often it was started again, by exit class.
        retry_in: seconds until the next start, in BACKOFF.
        exit_code: exit code or negative signal of the last process.
        failed_because: why a task has FAILED, in a word: ``restart_limit``, or an exit class.
        limits: of its processes; None when there are none.
        confined: controllers of its control group, which enforce some of them.
    """

    connector: str
    task: int
    generation: int
    condition: str
    config_hash: str
    pid: int | None = None
    reason: str | None = None
    trace: str | None = None
    note: str | None = None
    restarts: Mapping[str, int] = {}
    retry_in: float | None = None
    exit_code: int | None = None
    failed_because: str | None = None
    limits: Limits | None = None
    confined: tuple[str, ...] = ()


class TaskSnapshot(Message, frozen=True, array_like=True):
    """One task as it stands, and how its last process ended. Descriptor: its slot memfd."""

    report: TaskReport
    death: Death | None = None


class SnapshotEnd(Message, frozen=True, array_like=True):
    """All tasks were told."""


class TaskEvent(Message, frozen=True, array_like=True):
    """A task changed. Sent again to a new herder until acknowledged.

    Attributes:
        event: ``starting`` ``forked`` ``running`` ``paused`` ``stopping`` ``exited`` ``backoff``
            ``failed`` ``degraded`` ``recovered`` ``unresponsive`` ``unkillable`` ``note`` ``gone``.
        monotonic_ns: when, by CLOCK_MONOTONIC.
        death: of ``exited``: how the process ended, and what follows.
    """

    seq: int
    event: str
    monotonic_ns: int
    report: TaskReport
    death: Death | None = None


class Losses(msgspec.Struct, frozen=True, array_like=True):
    """What could not be written down since the engine started, and what cannot be now.

    Attributes:
        console_bytes: of the service's log.
        journal_events: of the journal.
        outputs: last outputs of dead processes.
        task_logs: connector, task and bytes, where there are any.
        problems: what keeps things from being written, or tasks from being made, now; in sentences.
    """

    console_bytes: int = 0
    journal_events: int = 0
    outputs: int = 0
    task_logs: tuple[tuple[str, int, int], ...] = ()
    problems: tuple[str, ...] = ()


class ZygoteSeen(msgspec.Struct, frozen=True, array_like=True):
    """A zygote that can fork, and since when, by CLOCK_MONOTONIC."""

    pid: int
    ready_ns: int


class SupervisorSample(Message, frozen=True, array_like=True):
    """How the supervisor itself does; every second.

    Attributes:
        zygote: None while there is none that can fork.
    """

    loop_lag_seconds: float = 0.0
    zygote_restarts: int = 0
    herder_restarts: int = 0
    losses: Losses = Losses()
    zygote: ZygoteSeen | None = None


class UpgradeState(Message, frozen=True, array_like=True):
    """What upgrades there were; told to each new herder, and when it changes.

    Attributes:
        attempts: how many were begun.
        upgrades: how many came up.
        is_running: one is under way.
        problem: why the last one did not come up.
    """

    attempts: int = 0
    upgrades: int = 0
    is_running: bool = False
    problem: str | None = None


class Reload(Message, frozen=True, array_like=True):
    """Read the connector files of the command line again; Reloaded follows."""


class PlanEnded(Message, frozen=True, array_like=True):
    """A plan child is gone; an answer it gave is already in its socket.

    Attributes:
        problem: None after exit code 0, else how it ended (``deadline of 10 s exceeded``).
    """

    token: int
    problem: str | None


class ConnectorFile(msgspec.Struct, frozen=True):
    """A connector that was named on the command line."""

    name: str
    config: dict[str, str]
    initial_state: TargetState | None = None


class HerderBoot(msgspec.Struct, frozen=True):
    """What a herder reads when it starts, from its memfd.

    Attributes:
        worker: the worker's configuration, key → text, placeholders unresolved.
        connectors: those of the command line.
        worker_id: ``host:port`` under which the REST API is reached.
        kafka_cluster_id: known already when the broker is our own.
        worker_path: the worker's file, absolute.
        connector_paths: files and directories of the command line, absolute.
        fixed_keys: keys of ``worker`` that do not come from that file.
    """

    worker: dict[str, str]
    connectors: list[ConnectorFile]
    data_dir: str
    log_level: str = "info"
    worker_id: str = "127.0.0.1:8083"
    kafka_cluster_id: str | None = None
    worker_path: str = ""
    connector_paths: tuple[str, ...] = ()
    fixed_keys: tuple[str, ...] = ()


SupervisorToHerder = (
    Welcome | TaskSnapshot | LogLevelsSet | SnapshotEnd | TaskEvent | SupervisorSample | PlanEnded
    | Reload | UpgradeState | TellAgain
)  # fmt: skip
HerderToSupervisor = (
    SyncBegin | Desire | SyncEnd | Drop | RestartTask | SetLogLevels | Remark | Plan | Ack
    | HerderReady | Reloaded | UpgradeRequested | Refused
)  # fmt: skip
