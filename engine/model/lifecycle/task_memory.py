"""What is remembered of a task over a restart of the supervisor: counters, delays, a failure.

Points in time are kept as ages: what a clock shows means nothing to the next boot.
"""

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from engine.model.exit_status import ExitClass
from engine.model.lifecycle.event import Timer
from engine.model.lifecycle.step import Step, arm
from engine.model.lifecycle.task_state import TaskState
from engine.model.state import Condition


class ClockReading(msgspec.Struct, frozen=True):
    """A moment, by clocks that the next process can read too.

    Attributes:
        boot_id: names the run of the kernel.
        boottime: seconds since its start, times of suspension included.
        wall: seconds since the epoch, by a clock that people set.
    """

    boot_id: str
    boottime: float
    wall: float

    def elapsed_until(self, later: "ClockReading") -> float:
        """Seconds from here to there; never negative, whatever was done to the wall clock."""
        if self.boot_id == later.boot_id:
            return max(0.0, later.boottime - self.boottime)
        return max(0.0, later.wall - self.wall)


class TaskMemory(msgspec.Struct, frozen=True, omit_defaults=True):
    """What matters of a :class:`TaskState`; ages and delays in seconds.

    Attributes:
        condition: BACKOFF, FAILED, or STOPPED for everything that a new supervisor starts anew.
        retry_in: what was left of the back-off.
    """

    wanted_hash: str = ""
    condition: Condition = Condition.STOPPED
    retry_in: float | None = None
    failures: int = 0
    restart_ages: tuple[float, ...] = ()
    restarts: Mapping[str, int] = {}
    reason: str | None = None
    exit_class: ExitClass | None = None
    exit_code: int | None = None
    trace: str | None = None
    verdict: str | None = None
    failed_because: str | None = None
    first_error: str | None = None
    first_error_age: float = 0.0


def is_same(before: TaskState, after: TaskState) -> bool:
    """Whether what is remembered of the two, their times of taking aside, is the same."""
    return all(
        getattr(before, name) == getattr(after, name)
        for name in ("restarts", "restart_times", "failures", "retry_at", "wanted_hash", "trace")
    ) and (before.condition is Condition.FAILED) == (after.condition is Condition.FAILED)


def memory_of(state: TaskState, now: float) -> TaskMemory:
    """What is worth remembering of a task.

    Args:
        state: the task's.
        now: seconds, by the clock that the state was made with.
    """
    waits = state.condition in (Condition.BACKOFF, Condition.FAILED)
    return TaskMemory(
        wanted_hash=state.wanted_hash,
        condition=state.condition if waits else Condition.STOPPED,
        retry_in=None if state.retry_at is None else max(0.0, state.retry_at - now),
        failures=state.failures,
        restart_ages=tuple(round(now - at, 3) for at in state.restart_times),
        restarts=state.restarts,
        reason=state.reason,
        exit_class=state.exit_class,
        exit_code=state.exit_code,
        trace=state.trace,
        verdict=state.verdict,
        failed_because=state.failed_because,
        first_error=state.first_error,
        first_error_age=now - state.first_error_at,
    )


def recalled(state: TaskState, memory: TaskMemory, elapsed: float, now: float) -> Step:
    """A new supervisor's state of a task that it remembers.

    Args:
        state: of a task that nothing is known of.
        memory: what is remembered.
        elapsed: seconds since that was written.
        now: seconds, by the clock of the new state.
    """
    then = now - elapsed
    state = replace(
        state,
        wanted_hash=memory.wanted_hash,
        condition=memory.condition,
        failures=memory.failures,
        restart_times=tuple(then - age for age in memory.restart_ages),
        restarts=dict(memory.restarts),
        reason=memory.reason,
        exit_class=memory.exit_class,
        exit_code=memory.exit_code,
        trace=memory.trace,
        verdict=memory.verdict,
        failed_because=memory.failed_because,
        first_error=memory.first_error,
        first_error_at=then - memory.first_error_age,
    )
    if memory.condition is not Condition.BACKOFF:
        return state, []
    left = max(0.0, (memory.retry_in or 0.0) - elapsed)
    return replace(state, retry_at=now + left), [arm(state, Timer.RESTART, left)]
