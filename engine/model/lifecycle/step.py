"""Steps that more than one event leads to; see :mod:`engine.model.lifecycle`."""

from msgspec.structs import replace

from engine.model.exit_status import ExitClass
from engine.model.lifecycle.action import Action, Arm, Disarm, Emit, Spawn, Terminate
from engine.model.lifecycle.event import Timer
from engine.model.lifecycle.task_state import TaskState
from engine.model.state import Condition

Step = tuple[TaskState, list[Action]]
"""The next state and what to do, in order."""


def spawn(state: TaskState, *, takes_turn: bool = False) -> Step:
    """Make the next process.

    Args:
        state: the task's.
        takes_turn: it follows a failure, so the host may put it off among many others.
    """
    state = replace(
        state,
        condition=Condition.STARTING,
        generation=state.generation + 1,
        process_hash=state.wanted_hash,
        is_final=False,
        ending=None,
        ending_words=None,
        stall=None,
        recycling=None,
        recycling_words=None,
        retry_at=None,
        note=None,
        has_turn=False,
    )
    return state, [
        Spawn(state.generation, takes_turn),
        arm(state, Timer.START, state.deadlines.start),
        Emit("starting"),
    ]


def stop(state: TaskState, why: ExitClass) -> Step:
    """Ask the process to end."""
    state = replace(state, condition=Condition.STOPPING, ending=why, stall=None)
    return state, [
        Terminate(state.is_final),
        arm(state, Timer.STOP, state.deadlines.stop),
        Emit("stopping"),
    ]


def gone(state: TaskState) -> Step:
    """Nobody wants the task, and nothing of it is left."""
    return replace(state, condition=Condition.STOPPED), [Disarm(), Emit("gone")]


def arm(state: TaskState, timer: Timer, seconds: float) -> Arm:
    """Set the timer for the newest process."""
    return Arm(timer, seconds, state.generation)


def forgiven(state: TaskState) -> TaskState:
    """An operator's word wipes the slate."""
    return replace(state, failures=0, restart_times=(), trace=None, first_error=None)


def counted(state: TaskState, why: ExitClass) -> TaskState:
    """A restart more, by what it was for."""
    return replace(state, restarts={**state.restarts, why: state.restarts.get(why, 0) + 1})
