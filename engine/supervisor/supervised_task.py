"""One task and the process it has now: carries out what the lifecycle decides."""

import asyncio
import contextlib
import mmap
import os
import random
import signal
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from engine.model.death import Death, death_of
from engine.model.exit_status import ExitStatus
from engine.model.lifecycle.action import (
    Abort,
    Action,
    Arm,
    Disarm,
    Dump,
    Emit,
    Kill,
    Spawn,
    TellRecycle,
    TellTarget,
    Terminate,
)  # fmt: skip
from engine.model.lifecycle.decision import reduce
from engine.model.lifecycle.event import (
    BecameReady,
    Dumped,
    Event,
    Exited,
    Noted,
    PauseDone,
    PutOff,
    TimedOut,
    Timer,
)  # fmt: skip
from engine.model.lifecycle.task_memory import TaskMemory, is_same, recalled
from engine.model.lifecycle.task_state import TaskState
from engine.model.slot import SLOT_BYTES, Slot
from engine.model.task_id import TaskId
from engine.model.watch import busy_for
from engine.supervisor.cgroups import CgroupError, Cgroups
from engine.supervisor.handover import TaskHandover, TimerHandover
from engine.supervisor.log_pipe import LogPipe
from engine.supervisor.memory_use import OomKills
from engine.supervisor.own_errors import tell
from engine.supervisor.stacks import Stacks
from engine.supervisor.task_limits import TaskLimits
from engine.supervisor.task_process import Listeners, Makers, TaskProcess
from engine.supervisor.task_report import report_of
from engine.wire.channel import shorten
from engine.wire.herder_message import TaskReport  # fmt: skip
from engine.wire.task_message import (  # fmt: skip
    LONGEST_SUMMARY,
    Failing,
    LogLevels,
    PausedChanged,
    Ready,
    Recycle,
    StreamWanted,
    TargetChanged,
    TaskCondition,
    TaskToSupervisor,
)


class Host(Makers, Protocol):
    """What a task needs of the supervisor around it."""

    cgroups: Cgroups
    oom_kills: OomKills

    def turn_of(self, task: "SupervisedTask") -> float:
        """Count a restart after a failure; how many seconds it has to wait for its turn."""

    def remember(self, task: "SupervisedTask") -> None:
        """What must survive this process has changed."""

    def task_changed(self, task: "SupervisedTask", event: str) -> None:
        """Tell whoever listens; ``gone`` is the last word."""

    def levels_of(self, connector: str) -> Mapping[str, str]:
        """How much a connector's tasks are to log, by logger."""

    def keep_output(self, task: TaskId, death: Death, output: bytes) -> None:
        """Keep what a process wrote last."""


class SupervisedTask:
    """A task id, what is wanted of it, and its process if there is one.

    Attributes:
        state: what the lifecycle knows.
        slot: heartbeat and counters; survives the processes.
        slot_fd: its memory, for others to map.
        death: how the last process ended.
        log: what its processes print.
    """

    def __init__(
        self,
        host: Host,
        task: TaskId,
        data_dir: Path,
        generation: int = 0,
        handed: TaskHandover | None = None,
    ) -> None:
        self.id = task
        self.state = handed.state if handed else TaskState(generation=generation)
        self.slot_name = f"slot {task.file_stem}"[:200]
        self.slot_fd = handed.slot_fd if handed else _shared_memory(self.slot_name)
        self._map = mmap.mmap(self.slot_fd, SLOT_BYTES)
        self.slot = Slot(memoryview(self._map))
        self.death: Death | None = None
        self._host = host
        context, path = self._context, data_dir / "logs" / f"{task.file_stem}.log"
        self.log = (
            LogPipe.take_over(host.log, context, path, handed.log)
            if handed
            else LogPipe(host.log, context, path)
        )
        self._config_fd = -1
        listeners = Listeners(
            on_forked=lambda: host.task_changed(self, "forked"),  # a slow start has a pid
            on_message=self._hear,
            on_swept=self._swept,
        )
        self._process = TaskProcess(host, self.title, self.slot_name, listeners)
        self._timer: asyncio.TimerHandle | None = None
        self._armed: tuple[Timer, int] = (Timer.START, 0)
        self._words: Failing | None = None
        self._limits = TaskLimits(task, host.cgroups, host.oom_kills, host.log)
        self._stacks = Stacks(self.slot_fd, host.reaper)
        self._put_off: PutOff | None = None
        if handed is not None:
            self._take_over(handed)

    @property
    def title(self) -> str:
        """What its processes are called."""
        return f"task {self.id}"

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none or its birth is not announced."""
        return self._process.pid

    @property
    def is_settled(self) -> bool:
        """Whether it could be handed over: nothing is in the middle of a birth or an end."""
        return not self._process.is_ending and self._put_off is None

    def hand_over(self) -> TaskHandover:
        """All that a successor of this supervisor needs; a birth must not be under way."""
        timer = self._timer
        return TaskHandover(
            connector=self.id.connector,
            task=self.id.task,
            state=self.state,
            slot_fd=self.slot_fd,
            config_fd=self._config_fd,
            log=self.log.hand_over(),
            process=self._process.hand_over(),
            is_asked=self._process.is_asked,
            timer=None if timer is None else TimerHandover(*self._armed, timer.when()),
            words=self._words,
            death=self.death,
        )

    def _take_over(self, handed: TaskHandover) -> None:
        self.death, self._words = handed.death, handed.words
        self._config_fd = handed.config_fd
        if handed.process is not None:
            with contextlib.suppress(CgroupError):  # it lives within its limits already
                self._limits.prepare(self.state.limits)
            self._process.group = self._limits.group
            self._process.take_over(handed.process)
        elif handed.is_asked:
            self._spawn(self.state.generation)
        if handed.timer is not None:
            left = handed.timer.ends_at - asyncio.get_running_loop().time()
            self._arm(handed.timer.timer, left, handed.timer.generation)

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
        if not is_same(before, self.state):
            self._host.remember(self)
        self._carry_out(actions)

    def recall(self, memory: TaskMemory, elapsed: float) -> None:
        """Go on from what an earlier supervisor knew so many seconds ago."""
        now = asyncio.get_running_loop().time()
        self.state, actions = recalled(self.state, memory, elapsed, now)
        self._carry_out(actions)

    def _carry_out(self, actions: Sequence[Action]) -> None:
        for action in actions:
            try:
                self._do(action)
            except Exception as error:  # noqa: BLE001 (half a decision would leave the task stuck)
                tell(f"{action} of {self.title}", error)

    def _do(self, action: Action) -> None:  # noqa: C901 (a table: one line an action)
        match action:
            case Spawn(generation, takes_turn):
                self._spawn(generation, self._host.turn_of(self) if takes_turn else 0.0)
            case Dump():
                self._dump()
            case Terminate(is_final):
                self._process.terminate(is_final=is_final)
            case Abort():
                self._process.signal(signal.SIGABRT, signal.SIGCONT)
            case Kill():
                self._process.kill()
            case TellTarget(is_paused):
                self._process.tell(TargetChanged(is_paused))
            case TellRecycle():
                self._process.tell(Recycle())
            case Arm(timer, seconds, generation):
                self._arm(timer, seconds, generation)
            case Disarm():
                self._disarm()
            case Emit(name):
                self._host.task_changed(self, name)

    def _spawn(self, generation: int, wait: float = 0.0) -> None:
        if wait > 0:  # said later: a decision is in the middle of being carried out
            self._put_off = PutOff(generation, wait)
            asyncio.get_running_loop().call_soon(self._wait_for_turn)
            return
        self._words = None
        self._stacks.begin()
        self.slot.begin(generation, time.monotonic_ns(), self.state.exit_class, self.state.reason)
        try:
            confinement = self._limits.prepare(self.state.limits)
        except CgroupError as error:
            self._process.refuse(generation, str(error))
            return
        self._process.group = self._limits.group
        self._process.start(generation, self._descriptors, confinement)
        levels = self._host.levels_of(self.id.connector)
        if levels:
            self.tell_levels(levels)

    def _descriptors(self) -> tuple[int, int, int]:
        """What a process gets that is made now."""
        return self.log.write_fd, self._config_fd, self.slot_fd

    def _wait_for_turn(self) -> None:
        put_off, self._put_off = self._put_off, None
        if put_off is not None:
            self.handle(put_off)

    def tell_levels(self, levels: Mapping[str, str]) -> None:
        """Tell the present process how much to log, by logger."""
        self._process.tell(LogLevels(dict(levels)))

    def _dump(self) -> None:
        """Have the process, and py-spy where there is one, write down what its threads are at."""
        dumped = Dumped(self.state.generation)
        self._process.signal(signal.SIGQUIT, signal.SIGCONT)
        if self.pid is None or not self._stacks.spy(self.pid, lambda: self.handle(dumped)):
            asyncio.get_running_loop().call_soon(self.handle, dumped)

    def _swept(self, generation: int, status: ExitStatus | None, reason: str) -> None:
        output = b""
        try:
            event, output = self._evidence(generation, status, reason)
        except Exception as error:  # noqa: BLE001 (a death without its circumstances is one, too)
            self._host.log.error(
                "a death cannot be explained", task=str(self.id), error=repr(error)
            )
            event = Exited(generation, status)
        self.handle(event)
        if self.death is not None and self.death.generation == generation:
            self._host.keep_output(self.id, self.death, output)

    def _evidence(
        self, generation: int, status: ExitStatus | None, reason: str
    ) -> tuple[Exited, bytes]:
        """All that is known of an end, and what the process wrote last."""
        self.log.drain()
        stacks = self._stacks.read()
        if stacks:
            self.log.add(stacks)
        left = self.log.take_last_words()
        words = self._words
        summary = words.summary if words else None
        if status is None:
            summary = shorten(f"ProcessNotMade: {reason}", LONGEST_SUMMARY)
        event = Exited(
            generation,
            status,
            summary=summary,
            trace=words.trace if words else None,
            has_progressed=self.slot["last_progress_ns"] > 0,
            stage=words.stage if words else self.slot.stage,
            in_hand=words.in_hand if words else self.slot.in_hand,
            silence=(time.monotonic_ns() - self.slot["heartbeat_ns"]) / 1e9,
            stacks=stacks,
            out_of_memory=self._limits.was_out_of_memory(
                status, is_ours=self.state.ending is not None
            ),
            logged=left.errors.texts(),
            committed_before=self.slot.committed("before"),
            committed_after=self.slot.committed("after"),
        )
        return event, left.output

    def _hear(self, message: TaskToSupervisor) -> None:
        match message:
            case Ready(generation, paused):
                self.handle(BecameReady(generation, paused))
            case PausedChanged(generation, paused):
                self.handle(PauseDone(generation, paused))
            case TaskCondition(generation, text):
                self.handle(Noted(generation, text and shorten(text, LONGEST_SUMMARY)))
            case Failing():
                self._words = message.shortened()
            case StreamWanted(_, name):
                self._process.give_stream(name)

    def _arm(self, timer: Timer, seconds: float, generation: int) -> None:
        self._disarm()
        self._armed = (timer, generation)
        self._timer = asyncio.get_running_loop().call_later(
            seconds, self._timed_out, timer, generation
        )

    def _timed_out(self, timer: Timer, generation: int) -> None:
        self._timer = None
        where = self._process.whereabouts() if timer is Timer.KILL else ""
        busy = busy_for(self.state.deadlines, self.slot, time.monotonic_ns())
        self.handle(TimedOut(generation, timer, busy, where))

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def check_memory(self, now: float) -> None:
        """Notice a process that uses more memory than it should."""
        if self.pid is not None:
            event = self._limits.verdict(self.state, self.pid, now)
            if event is not None:
                self.handle(event)

    @property
    def _context(self) -> dict[str, Any]:
        return {"connector": self.id.connector, "task": self.id.task}

    def report(self) -> TaskReport:
        """All that is known, for the herder."""
        now, confined = asyncio.get_running_loop().time(), self._limits.controllers
        return report_of(self.id, self.state, self.pid, self.death, confined, now)

    def whereabouts(self) -> str:
        """What a process is at that does not end."""
        return self._process.whereabouts()

    def kill_now(self) -> None:
        """End the process without asking."""
        self._process.kill()

    def close(self) -> None:
        """Give everything back; the task is gone."""
        self._disarm()
        self._limits.close()
        self.log.close()
        self.slot.release()
        self._map.close()
        os.close(self.slot_fd)
        if self._config_fd >= 0:
            os.close(self._config_fd)


def _shared_memory(name: str) -> int:
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    os.ftruncate(fd, SLOT_BYTES)
    return fd
