"""What a task's slot says of its loop: whether it turns, and whether it gets anywhere. Pure."""

import zlib
from typing import Final

from engine.model.deadlines import Deadlines
from engine.model.exit_status import ExitClass
from engine.model.lifecycle.event import FellSilent, Moved, Outgrew, Overran, Stalled
from engine.model.lifecycle.task_state import TaskState
from engine.model.progress import Progress
from engine.model.slot import Slot
from engine.model.state import ALIVE, Condition

_LOOKS_PER_LIMIT: Final = 20
_PROGRESS_OFTEN: Final = 2.0
_PROGRESS_SELDOM: Final = 15.0


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


def next_look(state: TaskState, slot: Slot, now_ns: int) -> int:
    """When the loop can have been silent for too long at the earliest; by CLOCK_MONOTONIC.

    A heartbeat only grows, and no stage has less time than the shortest: until then nobody need
    look. After that each look counts: the stage has a longer deadline, silence was announced, or a
    start takes its time.
    """
    shortest = int(state.deadlines.shortest_silence * 1e9)
    if not state.has_process:  # one that comes begins with a heartbeat
        return now_ns + shortest
    return max(now_ns, slot["heartbeat_ns"] + shortest)


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


def next_progress_look(state: TaskState, now_ns: int) -> int:
    """When to look again at what moves: soon where it matters, else a few times a limit."""
    limit, limits = state.deadlines.progress, state.limits
    seconds = min(max(limit / _LOOKS_PER_LIMIT, _PROGRESS_OFTEN), _PROGRESS_SELDOM)
    if state.condition is Condition.DEGRADED or limits.recycle_records or limits.recycle_after:
        seconds = _PROGRESS_OFTEN
    return now_ns + int(seconds * 1e9)


def recycle_due(state: TaskState, slot: Slot, now: float) -> Outgrew | None:
    """Whether the process has done its share.

    Args:
        state: the task's.
        slot: written by its process.
        now: seconds, by the clock of the state.
    """
    limits = state.limits
    if state.condition not in ALIVE or state.running_since is None or state.recycling is not None:
        return None
    records = slot["records_in"] - slot["records_before"]
    if limits.recycle_records and records >= limits.recycle_records:
        words = f"it has had {records} records, and gets a fresh process after every "
        return _outgrew(state, ExitClass.RECYCLED, f"{words}{limits.recycle_records}")
    uptime = now - state.running_since
    if limits.recycle_after and uptime >= limits.recycle_after * _varied(state.generation):
        words = f"it has run for {uptime:.0f} s, and gets a fresh process after every "
        return _outgrew(state, ExitClass.RECYCLED, f"{words}{limits.recycle_after:g} s")
    return None


def memory_verdict(
    state: TaskState, used: int, now: float, *, is_confined: bool
) -> Outgrew | Overran | None:
    """What is to be done about the memory that a process uses.

    Args:
        state: the task's.
        used: bytes, shared pages counted in part.
        now: seconds, by the clock of the state.
        is_confined: the kernel itself ends a process that uses too much.
    """
    limits = state.limits
    if limits.memory_hard and used > limits.memory_hard and not is_confined:
        return Overran(state.generation, f"it used {used} bytes of {limits.memory_hard}")
    if not limits.memory_soft or used <= limits.memory_soft:
        return None
    if state.condition not in ALIVE or state.running_since is None or state.recycling is not None:
        return None
    if now - state.running_since < limits.soft_interval:
        return None
    words = f"it used {used} bytes, more than {limits.memory_soft}"
    return _outgrew(state, ExitClass.SOFT_MEMORY, words)


def _outgrew(state: TaskState, why: ExitClass, words: str) -> Outgrew:
    return Outgrew(state.generation, why, words)


def _varied(generation: int) -> float:
    """0.9 to 1.1, another one for each process: tasks that start together part with time."""
    return 0.9 + 0.2 * (zlib.crc32(generation.to_bytes(8, "little")) / 2**32)
