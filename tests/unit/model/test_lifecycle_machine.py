"""The lifecycle under any order of events: hypothesis looks for one that breaks a promise."""

import itertools
from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.model.exit_status import ExitClass, ExitStatus
from engine.model.lifecycle.ending import LONGEST
from engine.model.lifecycle.event import (
    BecameReady,
    Dumped,
    Exited,
    FellSilent,
    Moved,
    Noted,
    Outgrew,
    Overran,
    PauseDone,
    PutOff,
    Stalled,
    TimedOut,
    Timer,
)
from engine.model.restart_policy import RestartPolicy
from engine.model.state import Condition
from tests.unit.model.simulated_task import SimulatedTask

STATUSES = st.sampled_from(
    [
        None,
        *(ExitStatus(code=code) for code in (0, 1, 65, 70, 75, 77, 78, 111)),
        *(ExitStatus(signal=number) for number in (6, 9, 11, 15)),
    ]
)
POLICIES = st.builds(
    RestartPolicy,
    mode=st.sampled_from(["never", "on-failure", "always"]),
    delay=st.sampled_from([0.0, 0.5, 1.0]),
    delay_max=st.sampled_from([1.0, 60.0]),
    max_restarts=st.integers(0, 4),
    window=st.sampled_from([5.0, 600.0]),
    reset_after=st.sampled_from([0.0, 10.0]),
)
HAS_PROCESS = (
    Condition.STARTING,
    Condition.RUNNING,
    Condition.PAUSED,
    Condition.DEGRADED,
    Condition.STOPPING,
    Condition.UNRESPONSIVE,
    Condition.UNKILLABLE,
)


class TaskMachine(RuleBasedStateMachine):
    """Wishes, deaths, silences, late messages and time, in any order."""

    @initialize(
        policy=POLICIES, obeys=st.booleans(), seed=st.integers(0, 99),
        turns=st.sampled_from([(0.0,), (0.0, 0.3), (2.0, 0.0, 7.0)]),
        stubborn=st.tuples(st.booleans(), st.sampled_from([0.01, 2.9, 99.0]), st.booleans()),
    )  # fmt: skip
    def begin(
        self,
        policy: RestartPolicy,
        obeys: bool,
        seed: int,
        turns: tuple[float, ...],
        stubborn: tuple[bool, float, bool],
    ) -> None:
        # a process never made twice is asserted by the simulated task itself
        waits = itertools.cycle(turns)
        aborts, dump_takes, progress_restarts = stubborn
        self.task = SimulatedTask(
            policy, obeys=obeys, seed=seed, turn=lambda: next(waits), aborts=aborts,
            dump_takes=dump_takes, progress_restarts=progress_restarts,
        )  # fmt: skip
        self.is_wanted = True
        self.task.want()

    @rule(config_hash=st.sampled_from("ab"), is_paused=st.booleans())
    def want(self, config_hash: str, is_paused: bool) -> None:
        self.is_wanted = True
        self.task.want(config_hash, is_paused=is_paused)

    @rule()
    def drop(self) -> None:
        self.is_wanted = False
        self.task.drop()

    @rule()
    def restart(self) -> None:
        """An operator's word always leads to a start, or finds one under way."""
        fresh = self.task.state.condition is Condition.STARTING and self.task.state.ending is None
        before = len(self.task.spawned_at)
        self.task.restart()
        if self.is_wanted and not fresh:
            self._wait_for(lambda: len(self.task.spawned_at) > before)

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        for _ in range(200):
            if condition():
                return
            self.task.pass_time(0.5)
        raise AssertionError("nothing happened")

    @precondition(lambda self: self.is_made() and not self.task.process.is_ready)
    @rule(is_paused=st.booleans())
    def become_ready(self, is_paused: bool) -> None:
        self.task.become_ready(is_paused=is_paused)

    def is_made(self) -> bool:
        return self.task.process is not None and self.task.process.is_made

    @precondition(lambda self: self.is_made())
    @rule(status=STATUSES, has_progressed=st.booleans())
    def end(self, status: ExitStatus | None, has_progressed: bool) -> None:
        self.task.end(status, has_progressed=has_progressed)

    @precondition(lambda self: self.task.process is not None)
    @rule(seconds=st.sampled_from([1.0, 20.0, 10_000.0]))
    def announce_silence(self, seconds: float) -> None:
        self.task.busy_until = self.task.now + seconds

    @precondition(lambda self: self.task.process is not None)
    @rule(moves=st.booleans())
    def stall_or_move(self, moves: bool) -> None:
        generation = self.task.state.generation
        self.task.handle(Moved(generation) if moves else Stalled(generation, 400.0, 9))

    @precondition(lambda self: self.task.process is not None)
    @rule(why=st.sampled_from([ExitClass.SOFT_MEMORY, ExitClass.RECYCLED]))
    def outgrow(self, why: ExitClass) -> None:
        failures = self.task.state.failures
        self.task.handle(Outgrew(self.task.state.generation, why, "it is due"))
        assert self.task.state.failures == failures

    @precondition(lambda self: self.task.process is not None)
    @rule()
    def overrun(self) -> None:
        self.task.handle(Overran(self.task.state.generation, "it used too much"))

    @precondition(lambda self: self.task.process is not None)
    @rule()
    def have_dumped(self) -> None:
        """Whether or not that was asked for."""
        self.task.handle(Dumped(self.task.state.generation))

    @precondition(lambda self: self.task.process is not None)
    @rule()
    def fall_silent(self) -> None:
        self.task.handle(FellSilent(self.task.state.generation, 31.0, "poll"))

    @precondition(lambda self: self.task.process is not None)
    @rule(is_paused=st.booleans())
    def change_pause(self, is_paused: bool) -> None:
        self.task.handle(PauseDone(self.task.state.generation, is_paused))

    @rule(seconds=st.sampled_from([0.01, 0.5, 3.0, 11.0, 70.0, 700.0]))
    def pass_time(self, seconds: float) -> None:
        self.task.pass_time(seconds)

    @precondition(lambda self: self.task.state.generation > 0)
    @rule(status=STATUSES, timer=st.sampled_from(list(Timer)))
    def hear_something_late(self, status: ExitStatus | None, timer: Timer) -> None:
        """Whatever a past process or timer says changes nothing."""
        old = self.task.state.generation - 1
        before, spawned = self.task.state, len(self.task.spawned_at)
        for event in (
            BecameReady(old, is_paused=True),
            PauseDone(old, is_paused=True),
            Noted(old, "late"),
            Exited(old, status),
            PutOff(old, 3.0),
            Stalled(old, 400.0, 9),
            Moved(old),
            Outgrew(old, ExitClass.RECYCLED, "late"),
            Overran(old, "late"),
            Dumped(old),
            FellSilent(old, 99.0, "poll"),
            TimedOut(old, timer),
        ):
            self.task.handle(event)
        assert (self.task.state, len(self.task.spawned_at)) == (before, spawned)

    @precondition(lambda self: not self.is_wanted)
    @rule()
    def wait_for_the_end(self) -> None:
        """What nobody wants is gone within a bounded time, whatever it does."""
        self.task.pass_time(LONGEST + self.task.state.deadlines.stop_max)
        assert self.task.process is None
        assert self.task.state.condition is Condition.STOPPED
        assert self.task.timer is None

    @precondition(lambda self: self.task.state.condition is Condition.FAILED)
    @rule(seconds=st.sampled_from([1.0, 3600.0]))
    def stay_failed(self, seconds: float) -> None:
        """Neither time nor the same wish again gets a task out of FAILED."""
        spawned = len(self.task.spawned_at)
        self.task.pass_time(seconds)
        self.task.want(self.task.state.wanted_hash, is_paused=self.task.state.is_paused)
        assert self.task.state.condition is Condition.FAILED
        assert len(self.task.spawned_at) == spawned

    @invariant()
    def a_process_exists_exactly_when_the_state_says_so(self) -> None:
        assert (self.task.process is not None) == self.task.state.has_process
        assert self.task.state.has_process == (self.task.state.condition in HAS_PROCESS)

    @invariant()
    def a_process_has_the_newest_generation(self) -> None:
        if self.task.process is not None:
            assert self.task.process.generation == self.task.state.generation

    @invariant()
    def wishes_are_kept(self) -> None:
        assert self.task.state.is_wanted == self.is_wanted

    @invariant()
    def what_waits_for_time_has_a_timer(self) -> None:
        """Nothing hangs in a condition that only a timer would end."""
        waits = self.task.state.ending is not None or self.task.state.condition in (
            Condition.STARTING,
            Condition.BACKOFF,
        )
        if waits and self.task.state.condition is not Condition.UNKILLABLE:
            assert self.task.timer is not None
            assert self.task.timer[1].generation == self.task.state.generation

    @invariant()
    def an_unwanted_task_never_waits_for_a_start(self) -> None:
        if not self.task.state.is_wanted:
            assert self.task.state.condition not in (Condition.BACKOFF, Condition.FAILED)

    @invariant()
    def restarts_are_remembered_no_longer_than_needed(self) -> None:
        assert len(self.task.state.restart_times) <= self.task.policy.max_restarts


TestTaskMachine = TaskMachine.TestCase
TestTaskMachine.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
