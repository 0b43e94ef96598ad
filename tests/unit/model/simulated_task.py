"""A task without a process: carries out the lifecycle's actions under a clock of its own."""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec.structs import replace

from engine.model.deadlines import Deadlines
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
)
from engine.model.lifecycle.decision import reduce
from engine.model.lifecycle.event import (
    BecameReady,
    Dumped,
    Event,
    Exited,
    PauseDone,
    PutOff,
    RestartRequested,
    TimedOut,
    Unwanted,
    Wanted,
)
from engine.model.lifecycle.task_state import TaskState
from engine.model.restart_policy import RestartPolicy
from engine.model.state import Condition
from engine.model.supervision import Supervision

ABORTED = ExitStatus(signal=6)
SIGKILLED = ExitStatus(signal=9)
CRASHED = ExitStatus(code=1)


@dataclass
class Process:
    """What exists between a Spawn and an Exited."""

    generation: int
    config_hash: str
    is_ready: bool = False
    is_made: bool = True
    is_asked_to_end: bool = False


@dataclass
class SimulatedTask:
    """The world around the reducer: one clock, one timer, at most one process.

    Attributes:
        obeys: whether the process ends when it is asked to.
        commits_after: seconds until it has a commit to end after.
        aborts: whether SIGABRT ends it.
        dump_takes: seconds until its stacks are written down.
        is_mortal: whether SIGKILL ends it.
        turn: how long a restart after a failure has to wait for its turn.
        on_spawn: what a new process does; schedules with :meth:`after`.
    """

    policy: RestartPolicy = field(default_factory=RestartPolicy)
    stop_timeout: float = 5.0
    start_timeout: float = 60.0
    progress_restarts: bool = False
    obeys: bool = True
    commits_after: float = 0.2
    aborts: bool = True
    dump_takes: float = 0.01
    is_mortal: bool = True
    turn: Callable[[], float] = lambda: 0.0
    on_spawn: Callable[[Process], None] = lambda _process: None
    seed: int = 0

    def __post_init__(self) -> None:
        self.now = 1000.0
        self.state = TaskState()
        self.process: Process | None = None
        self.busy_until = 0.0
        self.spawned_at: list[float] = []
        self.events: list[str] = []
        self.timer: tuple[float, TimedOut] | None = None
        self._random = random.Random(self.seed)
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def is_in(self, condition: Condition) -> bool:
        """Whether this is how it is now."""
        return self.state.condition is condition

    def has_process(self) -> bool:
        """Whether there is one now."""
        return self.process is not None

    # ---- what happens to it

    def want(self, config_hash: str = "a", *, is_paused: bool = False) -> None:
        """The herder's wish."""
        deadlines = Deadlines(
            start=self.start_timeout,
            stop=self.stop_timeout,
            progress_restarts=self.progress_restarts,
        )
        self.handle(Wanted(config_hash, is_paused, Supervision(self.policy, deadlines)))

    def drop(self) -> None:
        """The herder's wish that it ends."""
        self.handle(Unwanted())

    def restart(self) -> None:
        """An operator's wish."""
        self.handle(RestartRequested())

    def become_ready(self, *, is_paused: bool = False) -> None:
        """The process has started."""
        assert self.process is not None
        self.process.is_ready = True
        self.handle(BecameReady(self.process.generation, is_paused))

    def end(
        self,
        status: ExitStatus | None = CRASHED,
        *,
        summary: str | None = None,
        has_progressed: bool = False,
    ) -> None:
        """The process ends and is reaped."""
        assert self.process is not None
        generation, self.process = self.process.generation, None
        self.handle(Exited(generation, status, summary, None, has_progressed, out_of_memory=False))

    def handle(self, event: Event) -> None:
        """Let the reducer decide and do what it says."""
        self.state, actions = reduce(self.state, event, self.now, self._random.random())
        for action in actions:
            self._do(action)

    def _do(self, action: Action) -> None:  # noqa: C901, PLR0912 (a table: one line an action)
        match action:
            case Spawn(generation, takes_turn):
                self._spawn(generation, self.turn() if takes_turn else 0.0)
            case Terminate():
                assert self.process is not None, "nothing to terminate"
                self.process.is_asked_to_end = True
                if self.obeys and self.process.is_made:
                    self._ends_after(0.05, ExitStatus(code=0))
            case Dump():
                assert self.process is not None, "nothing to look at"
                generation = self.process.generation
                self.after(self.dump_takes, lambda: self.handle(Dumped(generation)))
            case Abort():
                assert self.process is not None, "nothing to abort"
                if self.aborts:
                    self._ends_after(0.01, ABORTED)
            case Kill():
                assert self.process is not None, "nothing to kill"
                if self.is_mortal:
                    self._ends_after(0.001, SIGKILLED)
            case TellTarget(is_paused):
                if self.process is not None and self.process.is_ready:
                    self.handle(PauseDone(self.process.generation, is_paused))
            case TellRecycle():
                assert self.process is not None, "nothing to recycle"
                if self.obeys:
                    self._ends_after(self.commits_after, ExitStatus(code=0))
            case Arm(timer, seconds, generation):
                self.timer = (self.now + seconds, TimedOut(generation, timer))
            case Disarm():
                self.timer = None
            case Emit(event):
                self.events.append(event)

    def _spawn(self, generation: int, wait: float) -> None:
        assert self.process is None, "a second process"
        self.process = Process(generation, self.state.wanted_hash, is_made=not wait)
        if wait:
            self.after(0.0, lambda: self._put_off(wait))
        else:
            self.spawned_at.append(self.now)
            self.on_spawn(self.process)

    def _put_off(self, wait: float) -> None:
        assert self.process is not None
        generation, self.process = self.process.generation, None
        self.handle(PutOff(generation, wait))

    # ---- time

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Do something later, when the same process still lives."""
        process = self.process

        def guarded() -> None:
            if self.process is process:
                call()

        heapq.heappush(self._later, (self.now + seconds, next(self._order), guarded))

    def _ends_after(self, seconds: float, status: ExitStatus) -> None:
        self.after(seconds, lambda: self.end(status))

    def pass_time(self, seconds: float) -> None:
        """Let timers run out and processes do what they were going to, in order."""
        end = self.now + seconds
        while (due := self._next_due()) <= end:
            self.now = max(self.now, due)
            if self._later and self._later[0][0] <= self.now:
                heapq.heappop(self._later)[2]()
            elif self.timer is not None and self.timer[0] <= self.now:
                timed_out, self.timer = self.timer[1], None
                busy = max(0.0, self.busy_until - self.now)
                self.handle(replace(timed_out, busy=busy))
        self.now = end

    def pass_until_spawned(self) -> None:
        """Let a back-off run out."""
        if self.process is None:
            assert self.timer is not None
            self.pass_time(self.timer[0] - self.now)

    def _next_due(self) -> float:
        times = [self._later[0][0]] if self._later else []
        if self.timer is not None:
            times.append(self.timer[0])
        return min(times, default=float("inf"))
