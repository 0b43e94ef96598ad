"""One task and the process it has now: carries out what the lifecycle decides."""

import asyncio
import contextlib
import mmap
import os
import random
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from engine.model.death import Death, death_of
from engine.model.exit_status import ExitStatus
from engine.model.lifecycle import reduce
from engine.model.lifecycle_action import (
    Abort,
    Action,
    Arm,
    Disarm,
    Emit,
    Kill,
    Spawn,
    TellTarget,
    Terminate,
)  # fmt: skip
from engine.model.lifecycle_event import (
    BecameReady,
    Event,
    Exited,
    FellSilent,
    Noted,
    PauseDone,
    TimedOut,
    Timer,
)  # fmt: skip
from engine.model.slot import SLOT_BYTES, Slot
from engine.model.state import Condition
from engine.model.task_id import TaskId
from engine.model.task_state import TaskState
from engine.supervisor.log import Log
from engine.supervisor.log_pipe import LogPipe
from engine.supervisor.reaper import Reaper
from engine.supervisor.strays import kill_strays
from engine.supervisor.zygote import Request, Zygote
from engine.wire.channel import Channel, shorten
from engine.wire.message import (
    Failing,
    Fork,
    PausedChanged,
    Ready,
    Stop,
    TargetChanged,
    TaskCondition,
    TaskReport,
    TaskToSupervisor,
)  # fmt: skip

_SWEEP_AGAIN: Final = 0.02
_SWEEPS_MOST: Final = 100
_LONGEST_TRACE: Final = 60_000


class Host(Protocol):
    """What a task needs of the supervisor around it."""

    log: Log
    reaper: Reaper
    zygote: Zygote

    def next_token(self) -> int:
        """A number that names a request."""

    def task_changed(self, task: "SupervisedTask", event: str) -> None:
        """Tell whoever listens; ``gone`` is the last word."""


class SupervisedTask:
    """A task id, what is wanted of it, and its process if there is one.

    Attributes:
        state: what the lifecycle knows.
        slot: heartbeat and counters; survives the processes.
        slot_fd: its memory, for others to map.
        pid: of the process; None while there is none or its birth is not announced.
        death: how the last process ended.
    """

    def __init__(self, host: Host, task: TaskId, data_dir: Path, generation: int) -> None:
        self.id = task
        self.state = TaskState(generation=generation)
        self.slot_name = f"slot {task.file_stem}"[:200]
        self.slot_fd = os.memfd_create(self.slot_name, os.MFD_CLOEXEC)
        os.ftruncate(self.slot_fd, SLOT_BYTES)
        self._map = mmap.mmap(self.slot_fd, SLOT_BYTES)
        self.slot = Slot(memoryview(self._map))
        self.pid: int | None = None
        self.death: Death | None = None
        self._host = host
        self._log = LogPipe(
            host.log,
            {"connector": task.connector, "task": task.task},
            data_dir / "logs" / f"{task.file_stem}.log",
        )
        self._pidfd = -1
        self._config_fd = -1
        self._control: Channel[TaskToSupervisor] | None = None
        self._request: Request | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._words: Failing | None = None

    @property
    def title(self) -> str:
        """What its processes are called."""
        return f"task {self.id}"

    def configure(self, config_fd: int) -> None:
        """The assignment that the next process gets; the descriptor is ours from now on."""
        if self._config_fd >= 0:
            os.close(self._config_fd)
        self._config_fd = config_fd

    def handle(self, event: Event) -> None:
        """Let the lifecycle decide and do what it says."""
        now = asyncio.get_running_loop().time()
        before = self.state
        self.state, actions = reduce(self.state, event, now, random.random())  # noqa: S311
        if isinstance(event, Exited) and self.state is not before:
            wall_ms = int(datetime.now(UTC).timestamp() * 1000)
            self.death = death_of(self.state, event, now, wall_ms)
        for action in actions:
            self._do(action)

    def _do(self, action: Action) -> None:  # noqa: C901 (a table: one line an action)
        match action:
            case Spawn(generation):
                self._spawn(generation)
            case Terminate(is_final):
                self._terminate(is_final=is_final)
            case Abort():
                self._signal(signal.SIGABRT, signal.SIGCONT)
            case Kill():
                self._kill()
            case TellTarget(is_paused):
                self._tell(TargetChanged(is_paused))
            case Arm(timer, seconds, generation):
                self._arm(timer, seconds, generation)
            case Disarm():
                self._disarm()
            case Emit(name):
                self._host.task_changed(self, name)

    def _spawn(self, generation: int) -> None:
        self._words = None
        self.slot.begin(generation, time.monotonic_ns())
        try:
            ours, theirs = Channel.pair()
        except OSError as error:  # no descriptors are left: a failed start like any other
            ended = Exited(generation, None, f"ProcessNotMade: {error.strerror}")
            asyncio.get_running_loop().call_soon(self.handle, ended)
            return
        ours.setblocking(False)
        self._control = Channel(ours, TaskToSupervisor)
        fork = Fork(
            token=self._host.next_token(),
            kind="task",
            key=self._host.zygote.key,
            title=self.title,
            supervisor_pid=os.getpid(),
            generation=generation,
        )
        control_end = theirs.detach()
        self._request = Request(
            fork,
            (control_end, self._log.write_fd, self._config_fd, self.slot_fd),
            on_forked=lambda pid: self._forked(pid, generation, control_end),
            on_failed=lambda reason: self._not_forked(reason, generation, control_end),
        )
        self._host.zygote.submit(self._request)

    def _forked(self, pid: int, generation: int, control_end: int) -> None:
        os.close(control_end)
        is_cancelled = self._request is not None and self._request.is_cancelled
        self._request = None
        try:
            self._pidfd = self._host.reaper.watch(
                pid, lambda status: self._exited(status, generation), kills_group=True
            )
        except OSError as error:  # what cannot be watched must not live
            os.kill(pid, signal.SIGKILL)
            self._close_control()
            reason = f"ProcessNotMade: it cannot be watched: {error.strerror}"
            self.handle(Exited(generation, None, reason))
            return
        self.pid = pid
        assert self._control is not None
        # not before: a quick task is ready before its birth is announced
        asyncio.get_running_loop().add_reader(self._control.fileno(), self._receive, self._control)
        self._host.task_changed(self, "forked")  # so that a start that takes long has a pid
        if is_cancelled:
            self._kill()

    def _not_forked(self, reason: str, generation: int, control_end: int) -> None:
        os.close(control_end)
        self._request = None
        self._close_control()
        self.handle(Exited(generation, None, f"ProcessNotMade: {reason}"))

    def _exited(self, status: ExitStatus, generation: int) -> None:
        self.pid = None
        self._pidfd = -1
        self._drain_control()
        self._close_control()
        self._log.drain()
        self._sweep(status, generation, 0)

    def _sweep(self, status: ExitStatus, generation: int, times: int) -> None:
        """The task has ended when nothing that it started is left either."""
        left = kill_strays(self.title, self.slot_name, self._host.reaper.is_watched)
        if left and times < _SWEEPS_MOST:
            asyncio.get_running_loop().call_later(
                _SWEEP_AGAIN, self._sweep, status, generation, times + 1
            )
            return
        words = self._words
        self.handle(
            Exited(
                generation,
                status,
                summary=words.summary if words else None,
                trace=words.trace if words else None,
                has_progressed=self.slot["last_progress_ns"] > 0,
                stage=words.stage if words else self.slot.stage,
                silence=(time.monotonic_ns() - self.slot["heartbeat_ns"]) / 1e9,
            )
        )

    def _terminate(self, *, is_final: bool) -> None:
        if self._request is not None:
            self._host.zygote.cancel(self._request)
        self._tell(Stop(is_final))
        self._signal(signal.SIGTERM, signal.SIGCONT)

    def _signal(self, *numbers: signal.Signals) -> None:
        for number in numbers:
            with contextlib.suppress(ProcessLookupError):
                if self._pidfd >= 0:
                    signal.pidfd_send_signal(self._pidfd, number)

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _tell(self, order: msgspec.Struct) -> None:
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.send(order)

    def _receive(self, control: "Channel[TaskToSupervisor]") -> None:
        try:
            received = control.receive()
        except BlockingIOError:
            return
        except OSError:  # it ended with an order unread
            received = None
        except msgspec.MsgspecError as error:
            self._host.log.error("a task spoke nonsense", **self._context, error=str(error))
            self._kill()
            received = None
        if received is None:
            asyncio.get_running_loop().remove_reader(control.fileno())
            return
        self._hear(received[0])

    def _hear(self, message: TaskToSupervisor) -> None:
        match message:
            case Ready(generation, paused):
                self.handle(BecameReady(generation, paused))
            case PausedChanged(generation, paused):
                self.handle(PauseDone(generation, paused))
            case TaskCondition(generation, text):
                self.handle(Noted(generation, text))
            case Failing():
                self._words = message

    def _drain_control(self) -> None:
        while self._control is not None:
            try:
                received = self._control.receive()
            except (OSError, msgspec.MsgspecError):
                return
            if received is None:
                return
            self._hear(received[0])

    def _close_control(self) -> None:
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            self._control = None

    def _arm(self, timer: Timer, seconds: float, generation: int) -> None:
        self._disarm()
        self._timer = asyncio.get_running_loop().call_later(
            seconds, self.handle, TimedOut(generation, timer)
        )

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def check_heartbeat(self, now_ns: int) -> None:
        """Notice a loop that no longer turns; called on every tick."""
        if self.state.condition not in (Condition.RUNNING, Condition.PAUSED):
            return
        silent = (now_ns - max(self.slot["heartbeat_ns"], self.slot["busy_until_ns"])) / 1e9
        if silent > self.state.policy.heartbeat_timeout:
            event = FellSilent(self.state.generation, silent, self.slot.stage)
            self.handle(event)

    @property
    def _context(self) -> dict[str, Any]:
        return {"connector": self.id.connector, "task": self.id.task}

    def report(self) -> TaskReport:
        """All that is known, for the herder."""
        state = self.state
        now = asyncio.get_running_loop().time()
        return TaskReport(
            connector=self.id.connector,
            task=self.id.task,
            generation=state.generation,
            condition=state.condition,
            config_hash=state.process_hash,
            pid=self.pid,
            reason=state.reason,
            trace=shorten(state.trace, _LONGEST_TRACE) if state.trace else None,
            note=state.note,
            restarts=state.restarts,
            retry_in=None if state.retry_at is None else max(0.0, state.retry_at - now),
            exit_code=state.exit_code,
        )

    def kill_now(self) -> None:
        """End the process without asking."""
        if self._request is not None:
            self._host.zygote.cancel(self._request)
        self._kill()

    def close(self) -> None:
        """Give everything back; the task is gone."""
        self._disarm()
        self._close_control()
        self._log.close()
        self.slot.words.release()
        self._map.close()
        os.close(self.slot_fd)
        if self._config_fd >= 0:
            os.close(self._config_fd)
