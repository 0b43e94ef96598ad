"""How a process is brought to its end, by ever harder means; see :mod:`engine.model.lifecycle`.

One that is stuck first writes down its stacks. Then, and for every other one from the beginning:
SIGTERM, which asks; SIGABRT, which dumps the stacks again; SIGKILL. Each has its time, so the whole
is bounded, and a process that outlives it is told of as unkillable.
"""

from typing import Final

from msgspec.structs import replace

from engine.model.exit_status import ExitClass
from engine.model.lifecycle.action import Abort, Dump, Emit, Kill, TellRecycle, Terminate
from engine.model.lifecycle.event import TimedOut, Timer
from engine.model.lifecycle.step import Step, arm, stop
from engine.model.lifecycle.task_state import TaskState
from engine.model.state import ALIVE, Condition

DUMP_GRACE: Final = 3.0
"""Seconds that it may take to write down the stacks of a process."""

TERM_GRACE: Final = 2.0
"""Seconds that a process gets after SIGTERM that is not expected to heed it."""

ABORT_GRACE: Final = 2.0
"""Seconds that a process gets to write its stacks after SIGABRT."""

KILL_GRACE: Final = 5.0
"""Seconds after SIGKILL until a process counts as unkillable."""

LONGEST: Final = DUMP_GRACE + TERM_GRACE + ABORT_GRACE + KILL_GRACE
"""Seconds that all this takes at most, besides the time that a task has to stop."""


RECYCLE_PATIENCE: Final = 60.0
"""Seconds until a process that is to end after a commit is told to end without one."""


def recycle(state: TaskState, why: ExitClass, words: str) -> Step:
    """Have a process that is well end after its next commit: nothing is done twice then."""
    state = replace(state, recycling=why, recycling_words=words)
    return state, [TellRecycle(), arm(state, Timer.RECYCLE, RECYCLE_PATIENCE), Emit("recycling")]


def recycle_now(state: TaskState) -> Step:
    """No commit came: end it as any other, which tries one more."""
    if state.recycling is None or state.condition not in ALIVE:
        return state, []
    return stop(replace(state, ending_words=state.recycling_words), state.recycling)


def put_down(state: TaskState, why: ExitClass, words: str) -> Step:
    """End a process at once that does harm."""
    state = replace(
        state,
        condition=Condition.STOPPING,
        ending=why,
        ending_words=words,
        reason=words,
        stall=None,
    )
    return state, [Kill(), arm(state, Timer.KILL, KILL_GRACE), Emit("stopping")]


def interrupt(state: TaskState, why: ExitClass, words: str) -> Step:
    """End a process that does not do what it should; first see what it does instead."""
    is_silent = why is ExitClass.UNRESPONSIVE
    condition = Condition.UNRESPONSIVE if is_silent else Condition.STOPPING
    state = replace(
        state,
        condition=condition,
        ending=why,
        ending_words=words,
        reason=words,
        is_dumping=True,
        stall=None,
    )
    event = "unresponsive" if is_silent else "stopping"
    return state, [Emit(event), Dump(), arm(state, Timer.DUMP, DUMP_GRACE)]


def dumped(state: TaskState) -> Step:
    """What can be known of its stacks is known: tell it to end."""
    if not state.is_dumping or not state.has_process:
        return state, []
    state = replace(state, is_dumping=False)
    is_silent = state.condition is Condition.UNRESPONSIVE
    grace = TERM_GRACE if is_silent else state.deadlines.stop
    return state, [Terminate(state.is_final), arm(state, Timer.STOP, grace)]


def overdue(state: TaskState, event: TimedOut, now: float) -> Step:
    """It did not end in time: go one step further."""
    if not state.has_process:
        return state, []
    match event.timer:
        case Timer.STOP:
            return _stop_is_over(state, event.busy, now)
        case Timer.ABORT:
            return state, [Kill(), arm(state, Timer.KILL, KILL_GRACE)]
        case _:
            words = f"SIGKILL did not end it within {KILL_GRACE:g} s"
            words = f"{words}: {event.where}" if event.where else words
            state = replace(state, condition=Condition.UNKILLABLE, reason=words)
            return state, [Emit("unkillable")]


def _stop_is_over(state: TaskState, busy: float, now: float) -> Step:
    if state.condition is Condition.STOPPING:
        more = min(busy, state.ending_since + state.deadlines.stop_max - now)
        if more > 0:
            return state, [arm(state, Timer.STOP, more)]
        took = now - state.ending_since
        words = f"did not end within {round(took, 1):g} s"
        known = state.ending_words
        state = replace(state, ending_words=f"{known}; {words}" if known else words)
    return state, [Abort(), arm(state, Timer.ABORT, ABORT_GRACE)]
