"""What the herder is told of a task."""

from typing import Final

from engine.model.death import Death
from engine.model.lifecycle.task_state import TaskState
from engine.model.limits import NO_LIMITS
from engine.model.state import Condition
from engine.model.task_id import TaskId
from engine.wire.channel import shorten
from engine.wire.herder_message import TaskReport

_LONGEST_TRACE: Final = 32 * 1024
"""There are messages with a trace, a death and its stacks."""


def report_of(
    task: TaskId,
    state: TaskState,
    pid: int | None,
    death: Death | None,
    confined: tuple[str, ...],
    now: float,
) -> TaskReport:
    """All that is known.

    Args:
        death: how the last process ended.
        confined: controllers of its control group.
        now: seconds, by the clock that the state was made with.
    """
    return TaskReport(
        connector=task.connector,
        task=task.task,
        generation=state.generation,
        condition=state.condition,
        config_hash=state.process_hash,
        pid=pid,
        reason=state.reason,
        trace=_trace(state.trace, death),
        note="; ".join(filter(None, (state.stall, state.note))) or None,
        restarts=state.restarts,
        retry_in=None if state.retry_at is None else max(0.0, state.retry_at - now),
        exit_code=state.exit_code,
        failed_because=state.failed_because if state.condition is Condition.FAILED else None,
        limits=state.limits if state.limits != NO_LIMITS else None,
        confined=confined,
    )


def _trace(trace: str | None, death: Death | None) -> str | None:
    """Empty where the death says the same: there are messages with both."""
    if trace and death is not None and trace == death.trace:
        return ""
    return shorten(trace, _LONGEST_TRACE) if trace else None
