"""How the end of a task's process is answered; see :mod:`engine.model.lifecycle`."""

from dataclasses import replace

from engine.model.exit_status import ExitClass, ExitStatus
from engine.model.lifecycle_action import Action, Disarm, Emit, Spawn
from engine.model.lifecycle_event import Exited, Timer
from engine.model.lifecycle_step import Step, arm, counted, gone, spawn
from engine.model.restart_policy import RestartPolicy
from engine.model.state import Condition
from engine.model.task_state import TaskState


def exited(state: TaskState, event: Exited, now: float, jitter: float) -> Step:
    """The process is gone: a successor now, later or never."""
    if not state.has_process:
        return state, []
    asked = state.ending in (ExitClass.STOPPED, ExitClass.OPERATOR)
    exit_class = _class_of(state, event)
    was_healthy = (
        state.running_since is not None
        and event.has_progressed
        and now - state.running_since >= state.policy.reset_after
    )
    state = replace(
        state,
        condition=Condition.STOPPED,
        ending=None,
        running_since=None,
        note=None,
        retry_at=None,
        failures=0 if was_healthy else state.failures,
        first_error=None if was_healthy else state.first_error,
        exit_class=exit_class,
        lifetime=now - state.spawned_at,
        exit_code=_code_of(event.status),
        reason=_reason(state, event),
    )
    actions: list[Action] = [Disarm(), Emit("exited")]
    if not state.is_wanted:
        state, more = gone(state)
    elif asked:
        state, more = spawn(state)
    else:
        state, more = _failed(state, event, exit_class, (now, jitter))
    # a successor first: it gets going while everybody else is told
    return state, sorted(actions + more, key=lambda each: not isinstance(each, Spawn))


def _failed(
    state: TaskState, event: Exited, exit_class: ExitClass, now_jitter: tuple[float, float]
) -> Step:
    """A process ended that was to live on."""
    now, jitter = now_jitter
    policy = state.policy
    if state.first_error is None:
        first = event.summary or state.reason
        state = replace(state, first_error=first, first_error_at=now)
    if exit_class.is_permanent or policy.mode == "never":
        return _give_up(state, event, f"not restarted: {_why_not(exit_class, policy)}")
    if policy.is_exhausted(state.restart_times, now):
        limit = f"restarted {policy.max_restarts} times within {policy.window:g} s"
        return _give_up(state, event, f"not restarted again: {limit}")
    state = counted(state, exit_class)
    state = replace(
        state,
        failures=state.failures + 1,
        restart_times=(*policy.recent(state.restart_times, now), now),
        trace=_trace(event, state.reason),
    )
    delay = policy.delay_before(state.failures, jitter)
    if delay <= 0:
        return spawn(state)
    state = replace(state, condition=Condition.BACKOFF, retry_at=now + delay)
    return state, [arm(state, Timer.RESTART, delay), Emit("backoff")]


def _give_up(state: TaskState, event: Exited, why: str) -> Step:
    trace = f"{_trace(event, state.reason)}\n{why}"
    return replace(state, condition=Condition.FAILED, trace=trace), [Emit("failed")]


def _class_of(state: TaskState, event: Exited) -> ExitClass:
    if state.ending is not None:
        return state.ending
    if event.status is None:
        return ExitClass.START_FAILED
    return event.status.classify()


def _code_of(status: ExitStatus | None) -> int | None:
    if status is None:
        return None
    return status.code if status.signal is None else -status.signal


def _reason(state: TaskState, event: Exited) -> str:
    how = "no process was made" if event.status is None else str(event.status)
    if state.ending is ExitClass.STOPPED:
        return f"stopped, {how}"
    if state.ending is ExitClass.OPERATOR:
        return f"restarted by an operator, {how}"
    told = event.summary or (state.reason if state.ending is not None else None)
    return f"{told} ({how})" if told else how


def _trace(event: Exited, reason: str | None) -> str:
    """What the status shows: its first line is ``Type: message``."""
    if event.summary is None:
        return f"TaskDied: {reason}"
    return f"{event.summary}\n{event.trace}" if event.trace else event.summary


def _why_not(exit_class: ExitClass, policy: RestartPolicy) -> str:
    if policy.mode == "never":
        return "the restart policy is never"
    return f"the cause is permanent ({exit_class})"
