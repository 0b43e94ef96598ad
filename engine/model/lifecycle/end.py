"""How the end of a task's process is answered; see :mod:`engine.model.lifecycle`."""

import signal
from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from engine.model.exit_status import EXIT_OK, ExitClass, ExitStatus
from engine.model.lifecycle.action import Action, Disarm, Emit, Spawn
from engine.model.lifecycle.event import Exited, PutOff, Timer
from engine.model.lifecycle.step import Step, arm, counted, gone, spawn
from engine.model.lifecycle.task_state import TaskState
from engine.model.state import Condition

_ASKED: Final[Mapping[ExitClass, str]] = {
    ExitClass.STOPPED: "stopped",
    ExitClass.OPERATOR: "restarted by an operator",
    ExitClass.SOFT_MEMORY: "restarted for its memory",
    ExitClass.RECYCLED: "restarted to be fresh",
}
"""Ends that somebody asked for, in words."""

RESTART_LIMIT: Final = "restart_limit"
"""Why a task has FAILED that was restarted too often; else it is the class of its last end."""

_FOR_ITS_OWN_GOOD: Final = (ExitClass.SOFT_MEMORY, ExitClass.RECYCLED)


def exited(state: TaskState, event: Exited, now: float, jitter: float) -> Step:
    """The process is gone: a successor now, later or never."""
    if not state.has_process:
        return state, []
    if state.ending is None and state.recycling is not None and _is_clean(event.status):
        state = replace(state, ending=state.recycling, ending_words=state.recycling_words)
    asked = state.ending in _ASKED
    if state.ending in _FOR_ITS_OWN_GOOD:
        state = counted(state, state.ending)
    uptime = now - state.running_since if state.running_since is not None else 0.0
    if state.running_since is not None and state.policy.is_healthy(
        uptime, has_progressed=event.has_progressed
    ):
        state = replace(state, failures=0, first_error=None)
    state = replace(
        state,
        condition=Condition.STOPPED,
        exit_class=_class_of(state, event),
        exit_code=_code_of(event.status),
        reason=_reason(state, event),
        lifetime=now - state.spawned_at,
        ending=None,
        ending_words=None,
        is_dumping=False,
        verdict=None,
        failed_because=None,
        stall=None,
        recycling=None,
        recycling_words=None,
        running_since=None,
        note=None,
        retry_at=None,
    )
    actions: list[Action] = [Disarm(), Emit("exited")]
    if not state.is_wanted:
        state, more = gone(state)
    elif asked:
        state, more = spawn(state)
    else:
        state, more = _failed(state, event, now, jitter)
    # a successor first: it gets going while everybody else is told
    return state, sorted(actions + more, key=lambda each: not isinstance(each, Spawn))


def put_off(state: TaskState, event: PutOff, now: float) -> Step:
    """Too many others are being restarted: no process was made, and that is nobody's failure."""
    if state.condition is not Condition.STARTING or not state.is_wanted:
        return exited(state, Exited(event.generation, None), now, 0.5)
    if not state.failures:  # somebody has asked for it meanwhile
        return spawn(state)
    note = "waits for its turn: many tasks are being restarted"
    state = _waiting(replace(state, note=note, has_turn=True), now + event.seconds)
    return state, [arm(state, Timer.RESTART, event.seconds), Emit("backoff")]


def _failed(state: TaskState, event: Exited, now: float, jitter: float) -> Step:
    """A process ended that was to live on."""
    exit_class, policy = state.exit_class, state.policy
    assert exit_class is not None
    if state.first_error is None:
        first = event.summary or state.reason
        state = replace(state, first_error=first, first_error_at=now)
    refusal = policy.refusal(exit_class, state.exit_code)
    if refusal is not None:
        return _give_up(state, event, f"not restarted: {refusal}", exit_class)
    if policy.mode != "always" and policy.is_exhausted(state.restart_times, now):
        limit = f"restarted {policy.max_restarts} times within {policy.window:g} s"
        return _give_up(state, event, f"not restarted again: {limit}", RESTART_LIMIT)
    state = counted(state, exit_class)
    state = replace(
        state,
        failures=state.failures + 1,
        restart_times=policy.recent((*state.restart_times, now), now),
        trace=_trace(event, state.reason),
    )
    delay = policy.delay_before(state.failures, jitter)
    if delay <= 0:
        return spawn(state, takes_turn=True)
    state = _waiting(state, now + delay)
    return state, [arm(state, Timer.RESTART, delay), Emit("backoff")]


def _waiting(state: TaskState, until: float) -> TaskState:
    return replace(state, condition=Condition.BACKOFF, retry_at=until)


def _give_up(state: TaskState, event: Exited, why: str, because: str) -> Step:
    trace = f"{_trace(event, state.reason)}\n{why}"
    state = replace(state, condition=Condition.FAILED, trace=trace, verdict=why)
    return replace(state, failed_because=str(because)), [Emit("failed")]


def _class_of(state: TaskState, event: Exited) -> ExitClass:
    if state.ending is not None:
        return state.ending
    if event.status is None:
        return ExitClass.START_FAILED
    if event.out_of_memory:
        return ExitClass.OUT_OF_MEMORY
    return event.status.classify()


def _is_clean(status: ExitStatus | None) -> bool:
    return status is not None and status.code == EXIT_OK


def _code_of(status: ExitStatus | None) -> int | None:
    if status is None:
        return None
    return status.code if status.signal is None else -status.signal


def _reason(state: TaskState, event: Exited) -> str:
    how = _how(event)
    words = state.ending_words
    asked = _ASKED.get(state.ending) if state.ending is not None else None
    if asked is not None:
        return ", ".join(filter(None, (asked, words, how)))
    told = words or event.summary
    return f"{told} ({how})" if told else how


def _how(event: Exited) -> str:
    if event.status is None:
        return "no process was made"
    if event.out_of_memory:
        return f"out of memory: {event.status}"
    is_open = event.out_of_memory is None and event.status.signal == signal.SIGKILL
    return f"{event.status}{' (possibly out of memory)' if is_open else ''}"


def _trace(event: Exited, reason: str | None) -> str:
    """What the status shows: its first line is ``Type: message``."""
    if event.summary is None:
        return f"TaskDied: {reason}"
    return f"{event.summary}\n{event.trace}" if event.trace else event.summary
