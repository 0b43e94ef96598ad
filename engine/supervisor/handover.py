"""What a supervisor leaves to the program that takes its place in the same process (``execve``).

The kernel keeps the process, its children and every descriptor that is told to stay; all else that
the successor must know is in one value, in memory that both can read. Descriptors are numbers here.
A field that an older or a newer engine does not know is left out or has its default; what cannot
be read so has another :data:`FORMAT`, and is refused before anything has happened.
"""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from engine.model.death import Death
from engine.model.journal_event import LastRecorded
from engine.model.lifecycle.event import Timer
from engine.model.lifecycle.task_state import TaskState
from engine.model.restart_budget import BudgetLevel
from engine.model.service import Service
from engine.model.task_id import TaskId
from engine.supervisor.child import HANDOVER
from engine.supervisor.instance import DataDirError
from engine.supervisor.noticed_errors import NoticedErrors
from engine.wire.herder_message import LogLevelsSet, TaskEvent
from engine.wire.message import PROTOCOL_VERSION
from engine.wire.sealed import seal
from engine.wire.task_message import Failing

FORMAT: Final = 1

# HANDOVER in the environment says what to do with a descriptor: ``take N`` is to go on from what it
# holds, ``check N`` is to say whether that would work, and to touch nothing.
_PROBLEM: Final = "ENGINE_HANDOVER_PROBLEM"

HELD_SIGNALS: Final = frozenset(
    {
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGHUP,
        signal.SIGCHLD,
        signal.SIGALRM,
        signal.SIGUSR1,
        signal.SIGUSR2,
    }
)
"""Blocked from before the ``execve`` until the successor has its handlers: none is lost."""


class HandoverError(DataDirError):
    """What was left cannot be taken over; the text says why."""


class PipeHandover(msgspec.Struct, frozen=True):
    """A log pipe; ``partial`` is a line whose end has not come yet, ``lost`` counts bytes."""

    read_fd: int
    write_fd: int
    partial: bytes = b""
    tail: bytes = b""
    lost: int = 0
    untold: int = 0
    errors: NoticedErrors = msgspec.field(default_factory=NoticedErrors)


class JournalHandover(msgspec.Struct, frozen=True):
    """The journal: the number of its last event, those not written yet, what it knows of tasks."""

    seq: int = 0
    waiting: bytes = b""
    known: tuple[tuple[TaskId, LastRecorded], ...] = ()


class ProcessHandover(msgspec.Struct, frozen=True):
    """A task's process, known by its pid: it is our child, so nobody else can have that pid."""

    generation: int
    pid: int
    control_fd: int


class TimerHandover(msgspec.Struct, frozen=True):
    """A timer and when it ends, by CLOCK_MONOTONIC."""

    timer: Timer
    generation: int
    ends_at: float


class TaskHandover(msgspec.Struct, frozen=True):
    """A task with all that is known of it.

    Attributes:
        config_fd: its assignment; -1 when it has none.
        process: None while there is none.
        is_asked: a process of its generation was decided on and is not made yet.
    """

    connector: str
    task: int
    state: TaskState
    slot_fd: int
    config_fd: int
    log: PipeHandover
    process: ProcessHandover | None = None
    is_asked: bool = False
    timer: TimerHandover | None = None
    words: Failing | None = None
    death: Death | None = None


class ServiceHandover(msgspec.Struct, frozen=True):
    """A program beside the tasks; see :class:`engine.model.service.Service`."""

    name: str
    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    ready_host: str
    ready_port: int
    log_name: str
    pid: int | None = None

    @staticmethod
    def of(service: Service, pid: int | None) -> "ServiceHandover":
        """A service and its process."""
        values = {name: getattr(service, name) for name in ("name", "argv", "ready_host")}
        return ServiceHandover(
            **values,
            env=dict(service.env),
            cwd=str(service.cwd),
            ready_port=service.ready_port,
            log_name=service.log_name,
            pid=pid,
        )

    def service(self) -> Service:
        """How it is started."""
        return Service(
            self.name, self.argv, self.env, Path(self.cwd), self.ready_host, self.ready_port,
            self.log_name,
        )  # fmt: skip


class Handover(msgspec.Struct, frozen=True):
    """Everything.

    Attributes:
        version: of the engine that wrote this.
        command: what that engine was executed as; whoever fails to take over goes back to it.
        host: with ``port``, what ``listener_fd`` is bound to.
        not_ours: children that were there before the first supervisor.
        attempts: how many upgrades were begun, this one included.
        upgrades: how many came up.
        console: log lines that nobody has read yet.
        budget: what is left of the budgets of restarts.
    """

    version: str
    command: tuple[str, ...]
    data_dir: str
    epoch: int
    lock_fd: int
    host: str
    port: int | None
    listener_fd: int
    format: int = FORMAT
    protocol: int = PROTOCOL_VERSION
    tasks: tuple[TaskHandover, ...] = ()
    services: tuple[ServiceHandover, ...] = ()
    events: tuple[TaskEvent, ...] = ()
    seq: int = 0
    token: int = 0
    highest_generation: int = 0
    not_ours: tuple[int, ...] = ()
    zygote_restarts: int = 0
    herder_restarts: int = 0
    attempts: int = 0
    upgrades: int = 0
    console: bytes = b""
    journal: JournalHandover = JournalHandover()
    levels: tuple[LogLevelsSet, ...] = ()
    budget: tuple[BudgetLevel, ...] = ()

    def descriptors(self) -> Iterator[int]:
        """All that must stay open."""
        yield self.lock_fd
        yield self.listener_fd
        for task in self.tasks:
            yield from (task.slot_fd, task.config_fd, task.log.read_fd, task.log.write_fd)
            if task.process is not None:
                yield task.process.control_fd


class _Format(msgspec.Struct, frozen=True):
    """What can be read of a handover of any format."""

    version: str
    format: int
    protocol: int


def is_pending() -> bool:
    """Whether we are to take over, and have not yet."""
    return os.environ.get(HANDOVER, "").startswith("take ")


def received() -> tuple[Handover, bool]:
    """What another engine left, and whether that is only to be checked.

    Raises:
        HandoverError: it cannot be read.
    """
    action, _, fd = os.environ[HANDOVER].partition(" ")
    return _read(int(fd)), action == "check"


def _read(fd: int) -> Handover:
    data = os.pread(fd, os.fstat(fd).st_size, 0)
    try:
        written = msgspec.msgpack.decode(data, type=_Format)
        if (written.format, written.protocol) != (FORMAT, PROTOCOL_VERSION):
            raise HandoverError(
                f"engine {written.version} hands over in format {written.format}.{written.protocol}"
                f", this one takes {FORMAT}.{PROTOCOL_VERSION}; restart the service instead"
            )
        return msgspec.msgpack.decode(data, type=Handover)
    except msgspec.MsgspecError as error:
        raise HandoverError(f"what the last engine left cannot be read: {error}") from error


def problem_of_predecessor() -> str | None:
    """Why the engine that was to take our place gave it back, if one did."""
    return os.environ.pop(_PROBLEM, None)


def forget() -> None:
    """The handover is ours now, or nobody's; its memory is given back."""
    _, _, fd = os.environ.pop(HANDOVER, "").partition(" ")
    if fd:
        os.close(int(fd))


def execute(command: Sequence[str], handover: Handover, problem: str | None = None) -> NoReturn:
    """Become another program that takes over.

    Args:
        problem: why, when this is a way back.

    Raises:
        OSError: it cannot be executed; everything is as it was.
    """
    _execute(command, seal(handover, "handover"), handover, problem)


def go_back(problem: str) -> NoReturn:
    """We cannot take over what is pending: become again the program that left it.

    Raises:
        HandoverError: nobody can read it.
        OSError: that program is not there any more.
    """
    fd = int(os.environ[HANDOVER].partition(" ")[2])
    handover = _read(fd)
    _execute(handover.command, fd, handover, problem)


def _execute(command: Sequence[str], fd: int, handover: Handover, problem: str | None) -> NoReturn:
    kept = [each for each in (fd, *handover.descriptors()) if each >= 0]
    environment = {**os.environ, HANDOVER: f"take {fd}"}
    if problem is not None:
        environment[_PROBLEM] = problem[:4096].replace("\0", "")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_SIGNALS)
    signal.setitimer(signal.ITIMER_REAL, 0)  # it would go on, and end who knows nothing of it
    try:
        for each in kept:
            os.set_inheritable(each, True)
        os.execve(command[0], list(command), environment)  # noqa: S606 (that is the point)
    except OSError:
        for each in kept:
            os.set_inheritable(each, False)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise


def own_command() -> tuple[str, ...]:
    """How to execute this very engine once more, whatever became of the links that led here."""
    return (sys.executable, *sys.orig_argv[1:])


def newest_command() -> tuple[str, ...]:
    """How to execute the engine that is installed now.

    A script such as ``/opt/engine/current/bin/engine`` is executed by its path, whose links and
    whose first line may have changed since; else it is our interpreter with what it finds.
    """
    script = sys.argv[0]
    if script.startswith("-") or (os.path.exists(script) and not _is_program(script)):
        return own_command()
    return (os.path.abspath(script), *sys.argv[1:])


def _is_program(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return os.access(path, os.X_OK) and file.read(2) == b"#!"
    except OSError:
        return False
