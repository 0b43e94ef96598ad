"""What a task's slot says of its loop: whether it turns, and whether it gets anywhere. Pure."""

from engine.model.deadlines import Deadlines
from engine.model.lifecycle_event import FellSilent, Moved, Stalled
from engine.model.progress import Progress
from engine.model.slot import Slot
from engine.model.state import ALIVE, Condition
from engine.model.task_state import TaskState


def fell_silent(state: TaskState, slot: Slot, now_ns: int) -> FellSilent | None:
    """Whether the loop has turned lately enough for what it is at.

    Args:
        state: the task's.
        slot: written by its process.
        now_ns: by CLOCK_MONOTONIC, as the slot's times.
    """
    if state.condition not in ALIVE:
        return None
    silent = (now_ns - slot["heartbeat_ns"]) / 1e9
    if silent <= state.deadlines.silence_in(slot.stage) or busy_for(state.deadlines, slot, now_ns):
        return None
    return FellSilent(state.generation, silent, slot.stage, slot.in_hand)


def busy_for(deadlines: Deadlines, slot: Slot, now_ns: int) -> float:
    """Seconds more for which the process has announced silence, as far as that counts."""
    longest = slot["heartbeat_ns"] + int(deadlines.busy_max * 1e9)
    return max(0.0, (min(slot["busy_until_ns"], longest) - now_ns) / 1e9)


def look_at_progress(
    progress: Progress, state: TaskState, slot: Slot, now: float
) -> tuple[Progress, Stalled | Moved | None]:
    """Whether records wait and none moves, or move again.

    Args:
        progress: what was seen the last time.
        state: the task's.
        slot: written by its process.
        now: seconds, monotonic.
    """
    limit = state.deadlines.progress
    if not limit or state.condition not in (Condition.RUNNING, Condition.DEGRADED):
        return Progress(), None
    progress = progress.seen(now, slot["last_progress_ns"], max(slot["lag"], slot["queue_records"]))
    seconds = progress.stalled_for(now)
    if state.condition is Condition.DEGRADED:
        return progress, Moved(state.generation) if seconds <= limit else None
    if seconds <= limit:
        return progress, None
    return progress, Stalled(state.generation, seconds, progress.backlog)
