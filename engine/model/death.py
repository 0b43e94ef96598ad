"""How a process of a task ended and what follows: the record that is kept, told and explained."""

from typing import Any, Final

import msgspec

from engine.model.exit_status import EXIT_OK, ExitClass
from engine.model.lifecycle.event import Exited
from engine.model.lifecycle.task_state import TaskState

_TIMES_KEPT: Final = 10

_TOLD: Final = (
    ExitClass.STOPPED,
    ExitClass.OPERATOR,
    ExitClass.SOFT_MEMORY,
    ExitClass.RECYCLED,
)


class Death(msgspec.Struct, frozen=True, omit_defaults=True):
    """The end of one process. Times with ``_ms`` are milliseconds since the epoch.

    Attributes:
        exit_class: a value of :class:`engine.model.exit_status.ExitClass`.
        reason: how it ended, in one sentence.
        then: what the task became by it, a value of :class:`engine.model.state.Condition`:
            STARTING (a successor is made), BACKOFF, FAILED or STOPPED.
        verdict: why no successor is made, in FAILED.
        retry_in: seconds until the next start, in BACKOFF.
        exit_code: None when a signal ended it, or when no process was made.
        signal: number of the signal that ended it.
        core: whether it left a core dump.
        out_of_memory: whether want of memory ended it, by the kernel's hand or by ours; None where
            nobody can tell.
        lifetime: seconds from the request for the process to its end.
        stage: what it was at, a value of :data:`engine.model.slot.STAGES`.
        silence: seconds since it last showed that its loop turns.
        in_hand: the records that it was working on, such as ``lines-0@100-1999``.
        error: ``Type: message`` when the process said why it ended.
        traceback: of that error.
        logged: the first and the last error that it logged or printed, with their times.
        committed_before: offsets that it began with, pairs of partition and offset.
        committed_after: offsets that it has committed itself.
        first_error: what the first end said, or was, since the task was healthy last.
        stacks: what all its threads were doing when it was found stuck or crashed.
        restarts_ms: when it was started again after a failure, within the window: the last times.
        restarts: how many times there were in all.
        restarts_max: how many of them make a task FAILED.
        restarts_window: seconds.
    """

    generation: int
    exit_class: str
    reason: str
    then: str
    ended_ms: int
    verdict: str | None = None
    retry_in: float | None = None
    exit_code: int | None = None
    signal: int | None = None
    core: bool = False
    out_of_memory: bool | None = None
    lifetime: float = 0.0
    stage: str = "init"
    silence: float = 0.0
    in_hand: str | None = None
    error: str | None = None
    traceback: str | None = None
    logged: tuple[str, ...] = ()
    committed_before: list[Any] | None = None
    committed_after: list[Any] | None = None
    first_error: str | None = None
    first_error_ms: int | None = None
    stacks: str | None = None
    restarts_ms: tuple[int, ...] = ()
    restarts: int = 0
    restarts_max: int = 0
    restarts_window: float = 0.0

    @property
    def trace(self) -> str:
        """What the status shows of a task that is not started again, or waits for that."""
        told = (self.error or f"TaskDied: {self.reason}", self.traceback, self.verdict)
        return "\n".join(filter(None, told))

    @property
    def is_in_order(self) -> bool:
        """Whether the process was told to end and did: nothing is to be explained."""
        return self.exit_class in _TOLD and self.exit_code == EXIT_OK


def death_of(state: TaskState, event: Exited, now: float, now_ms: int) -> Death:
    """The record of an end.

    Args:
        state: after the end was answered.
        event: the end.
        now: seconds, by the clock that the state was made with.
        now_ms: the same moment by the wall clock.
    """
    status = event.status

    def wall(at: float) -> int:
        return now_ms - round((now - at) * 1000)

    return Death(
        generation=event.generation,
        exit_class=str(state.exit_class),
        reason=state.reason or "",
        then=state.condition,
        ended_ms=now_ms,
        verdict=state.verdict,
        retry_in=None if state.retry_at is None else max(0.0, state.retry_at - now),
        exit_code=status.code if status else None,
        signal=status.signal if status else None,
        core=bool(status and status.core),
        out_of_memory=state.exit_class is ExitClass.OUT_OF_MEMORY or event.out_of_memory,
        lifetime=max(0.0, now - state.spawned_at),
        stage=event.stage,
        silence=event.silence,
        in_hand=event.in_hand,
        error=event.summary,
        traceback=event.trace,
        logged=event.logged,
        committed_before=event.committed_before,
        committed_after=event.committed_after,
        first_error=state.first_error,
        first_error_ms=None if state.first_error is None else wall(state.first_error_at),
        stacks=event.stacks,
        restarts_ms=tuple(wall(at) for at in state.restart_times[-_TIMES_KEPT:]),
        restarts=len(state.restart_times),
        restarts_max=state.policy.max_restarts,
        restarts_window=state.policy.window,
    )
