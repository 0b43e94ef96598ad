"""What is to be done about a task: ``reduce(state, event, now, jitter) -> (state, actions)``.

Pure: no clock, no process, no randomness. Each process of a task has a generation; an event that
carries another one is about a process or a timer of the past and changes nothing. What is wanted
(``is_wanted``, ``is_paused``, ``wanted_hash``) and what is (``condition``) are apart: every end of
a process asks again what is wanted.
"""

from msgspec.structs import replace

from engine.model.exit_status import ExitClass
from engine.model.lifecycle.action import Action, Disarm, Emit, Kill, TellTarget
from engine.model.lifecycle.end import exited, put_off
from engine.model.lifecycle.ending import (
    KILL_GRACE,
    dumped,
    interrupt,
    overdue,
    put_down,
    recycle,
    recycle_now,
)  # fmt: skip
from engine.model.lifecycle.event import (
    BecameReady,
    Dumped,
    Event,
    Exited,
    FellSilent,
    Moved,
    Noted,
    Outgrew,
    Overran,
    PauseDone,
    PutOff,
    RestartRequested,
    Stalled,
    TimedOut,
    Timer,
    Unwanted,
    Wanted,
)  # fmt: skip
from engine.model.lifecycle.step import Step, arm, counted, forgiven, gone, spawn, stop
from engine.model.lifecycle.task_state import TaskState
from engine.model.state import ALIVE, Condition

_FAILURES = (
    ExitClass.UNRESPONSIVE,
    ExitClass.START_TIMEOUT,
    ExitClass.NO_PROGRESS,
    ExitClass.OUT_OF_MEMORY,
)


def reduce(state: TaskState, event: Event, now: float, jitter: float = 0.5) -> Step:
    """The next state and what to do, in order.

    Args:
        now: seconds, monotonic.
        jitter: 0 to 1, a new random number each time.
    """
    if getattr(event, "generation", state.generation) != state.generation:
        return state, []
    after, actions = _answer(state, event, now, jitter)
    if after.generation != state.generation:
        after = replace(after, spawned_at=now)
    if after.ending is not state.ending:
        after = replace(after, ending_since=now)
    return after, actions


def _answer(  # noqa: C901, PLR0912 (a table: one line an event)
    state: TaskState, event: Event, now: float, jitter: float
) -> Step:
    match event:
        case Wanted():
            return _wanted(state, event)
        case Unwanted(is_final=is_final):
            return _unwanted(replace(state, is_wanted=False, is_final=is_final))
        case RestartRequested():
            return _restart(state)
        case BecameReady():
            return _ready(state, event, now)
        case PauseDone():
            return _paused(state, event)
        case Noted(text=text):
            return replace(state, note=text), [Emit("note")]
        case Exited():
            return exited(state, event, now, jitter)
        case PutOff():
            return put_off(state, event, now)
        case FellSilent():
            return _silent(state, event)
        case Stalled():
            return _stalled(state, event)
        case Moved():
            return _moved(state)
        case Outgrew():
            return _outgrew(state, event)
        case Overran(words=words):
            return _overran(state, words)
        case Dumped():
            return dumped(state)
        case TimedOut():
            return _timed_out(state, event, now)


def _wanted(state: TaskState, event: Wanted) -> Step:
    is_new = not state.is_wanted or event.config_hash != state.wanted_hash
    was_paused = state.is_paused
    state = replace(
        state,
        is_wanted=True,
        is_final=False,
        is_paused=event.is_paused,
        wanted_hash=event.config_hash,
        supervision=event.supervision,
    )
    if is_new:
        state = forgiven(state)
    if not state.has_process:
        return spawn(state) if is_new or state.condition is Condition.STOPPED else (state, [])
    if state.ending is None and event.config_hash != state.process_hash:
        # nothing is handed over: the successor may work on something else
        return stop(replace(state, is_final=True), ExitClass.STOPPED)
    is_otherwise = state.condition in ALIVE and _is_paused(state) != event.is_paused
    if state.ending is None and (was_paused != event.is_paused or is_otherwise):
        return state, [TellTarget(event.is_paused)]  # again, where an order or its answer was lost
    return state, []


def _unwanted(state: TaskState) -> Step:
    if not state.has_process:
        return gone(state)
    if state.ending is None:
        return stop(state, ExitClass.STOPPED)
    return state, []


def _restart(state: TaskState) -> Step:
    state = forgiven(state)
    if not state.is_wanted:
        return state, []
    if not state.has_process:
        return spawn(counted(state, ExitClass.OPERATOR))
    if state.ending in _FAILURES:
        # it is being ended for a failure, which the policy might answer with FAILED
        return replace(counted(state, ExitClass.OPERATOR), ending=ExitClass.OPERATOR), []
    if state.ending is None and state.condition is not Condition.STARTING:
        return stop(counted(state, ExitClass.OPERATOR), ExitClass.OPERATOR)
    return state, []  # a fresh process is on its way already


def _ready(state: TaskState, event: BecameReady, now: float) -> Step:
    if state.condition is not Condition.STARTING:
        return state, []
    condition = Condition.PAUSED if event.is_paused else Condition.RUNNING
    state = replace(state, condition=condition, running_since=now, trace=None)
    actions: list[Action] = [Disarm(), Emit(condition.lower())]
    if event.is_paused != state.is_paused:
        actions.append(TellTarget(state.is_paused))
    return state, actions


def _paused(state: TaskState, event: PauseDone) -> Step:
    if state.condition not in ALIVE or _is_paused(state) == event.is_paused:
        return state, []
    condition = Condition.PAUSED if event.is_paused else Condition.RUNNING
    return replace(state, condition=condition, stall=None), [Emit(condition.lower())]


def _is_paused(state: TaskState) -> bool:
    return state.condition is Condition.PAUSED


def _silent(state: TaskState, event: FellSilent) -> Step:
    if state.condition not in ALIVE:
        return state, []
    words = f"no heartbeat for {event.seconds:.1f} s, in stage {event.stage}"
    if event.in_hand:
        words = f"{words} with {event.in_hand}"
    return interrupt(state, ExitClass.UNRESPONSIVE, words)


def _stalled(state: TaskState, event: Stalled) -> Step:
    if state.condition is not Condition.RUNNING:
        return state, []
    words = f"{event.backlog} records wait and none has moved for {event.seconds:.3g} s"
    if state.deadlines.progress_restarts:
        return interrupt(state, ExitClass.NO_PROGRESS, words)
    return replace(state, condition=Condition.DEGRADED, stall=words), [Emit("degraded")]


def _moved(state: TaskState) -> Step:
    if state.condition is not Condition.DEGRADED:
        return state, []
    return replace(state, condition=Condition.RUNNING, stall=None), [Emit("recovered")]


def _outgrew(state: TaskState, event: Outgrew) -> Step:
    if state.condition not in ALIVE or state.recycling is not None:
        return state, []
    return recycle(state, event.why, event.words)


def _overran(state: TaskState, words: str) -> Step:
    if not state.has_process or state.ending is ExitClass.OUT_OF_MEMORY:
        return state, []
    if state.ending is not None:  # it is on its way out, and can be waited for no longer
        return state, [Kill(), arm(state, Timer.KILL, KILL_GRACE)]
    return put_down(state, ExitClass.OUT_OF_MEMORY, words)


def _timed_out(state: TaskState, event: TimedOut, now: float) -> Step:
    match event.timer:
        case Timer.RESTART:
            if state.condition is not Condition.BACKOFF:
                return state, []
            return spawn(state, takes_turn=not state.has_turn)
        case Timer.START:
            return _start_is_over(state, event.busy, now)
        case Timer.DUMP:
            return dumped(state)
        case Timer.RECYCLE:
            return recycle_now(state)
        case _:
            return overdue(state, event, now)


def _start_is_over(state: TaskState, busy: float, now: float) -> Step:
    if state.condition is not Condition.STARTING:
        return state, []
    if busy > 0:
        return state, [arm(state, Timer.START, busy)]
    words = f"not RUNNING {round(now - state.spawned_at, 1):g} s after its start"
    return interrupt(state, ExitClass.START_TIMEOUT, words)
