"""What is to be done about a task: ``reduce(state, event, now, jitter) -> (state, actions)``.

Pure: no clock, no process, no randomness. Each process of a task has a generation; an event that
carries another one is about a process or a timer of the past and changes nothing. What is wanted
(``is_wanted``, ``is_paused``, ``wanted_hash``) and what is (``condition``) are apart: every end of
a process asks again what is wanted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from engine.model.exit_status import ExitClass, ExitStatus
from engine.model.restart_policy import RestartPolicy
from engine.model.state import Condition

ABORT_GRACE: Final = 2.0
"""Seconds that a process gets to write its stacks after SIGABRT."""

KILL_GRACE: Final = 10.0
"""Seconds after SIGKILL until a process counts as unkillable."""


class Timer(StrEnum):
    """What a timer is for; a task has one at a time."""

    START = "start"
    RESTART = "restart"
    STOP = "stop"
    ABORT = "abort"
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class TaskState:
    """Everything that decides about a task.

    Attributes:
        generation: of the newest process, or of the one being made.
        process_hash: configuration of that process.
        ending: why we are ending the process; None while it may live.
        failures: in a row, for the back-off.
        restart_times: when restarts after failures happened, for the limit.
        running_since: when the process became RUNNING.
        reason: how the last process ended, in one sentence.
        trace: what the status shows for FAILED.
        note: what a running process says it waits for.
        restarts: restarts by exit class, ever.
        retry_at: when the back-off ends.
    """

    policy: RestartPolicy = field(default_factory=RestartPolicy)
    stop_timeout: float = 5.0
    is_wanted: bool = True
    is_final: bool = False
    is_paused: bool = False
    wanted_hash: str = ""
    condition: Condition = Condition.STOPPED
    generation: int = 0
    process_hash: str = ""
    ending: ExitClass | None = None
    failures: int = 0
    restart_times: tuple[float, ...] = ()
    running_since: float | None = None
    reason: str | None = None
    trace: str | None = None
    note: str | None = None
    restarts: Mapping[str, int] = field(default_factory=dict)
    retry_at: float | None = None
    exit_code: int | None = None

    @property
    def has_process(self) -> bool:
        """Whether there is a process, or one on its way."""
        return self.condition not in (Condition.STOPPED, Condition.BACKOFF, Condition.FAILED)


# ---- events --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """The task is to run with this configuration."""

    config_hash: str
    is_paused: bool
    policy: RestartPolicy
    stop_timeout: float


@dataclass(frozen=True, slots=True)
class Unwanted:
    """The task is to end; for good, unless the whole engine stops and comes back later."""

    is_final: bool = True


@dataclass(frozen=True, slots=True)
class RestartRequested:
    """An operator wants a fresh process."""


@dataclass(frozen=True, slots=True)
class BecameReady:
    """``start()`` has returned."""

    generation: int
    is_paused: bool


@dataclass(frozen=True, slots=True)
class PauseDone:
    """The process obeyed a pause or a resume."""

    generation: int
    is_paused: bool


@dataclass(frozen=True, slots=True)
class Noted:
    """The process says what it waits for, or that the wait is over."""

    generation: int
    text: str | None


@dataclass(frozen=True, slots=True)
class Exited:
    """The process is gone and reaped, or was never made (``status`` is None).

    Attributes:
        summary: ``Type: message`` when it said why.
        trace: the traceback when it said why.
        has_progressed: records moved while it ran.
    """

    generation: int
    status: ExitStatus | None
    summary: str | None = None
    trace: str | None = None
    has_progressed: bool = False


@dataclass(frozen=True, slots=True)
class FellSilent:
    """No heartbeat for longer than the policy allows."""

    generation: int
    seconds: float
    stage: str


@dataclass(frozen=True, slots=True)
class TimedOut:
    """A timer has run out."""

    generation: int
    timer: Timer


Event = (
    Wanted | Unwanted | RestartRequested | BecameReady | PauseDone | Noted | Exited | FellSilent
    | TimedOut
)  # fmt: skip


# ---- actions -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spawn:
    """Make a process of this generation."""

    generation: int


@dataclass(frozen=True, slots=True)
class Terminate:
    """Ask the process to end: order, SIGTERM, SIGCONT."""

    is_final: bool


@dataclass(frozen=True, slots=True)
class Abort:
    """Make the process write its stacks and die: SIGABRT, SIGCONT."""


@dataclass(frozen=True, slots=True)
class Kill:
    """End the process and its group: SIGKILL."""


@dataclass(frozen=True, slots=True)
class TellTarget:
    """Order a pause or a resume."""

    is_paused: bool


@dataclass(frozen=True, slots=True)
class Arm:
    """Set the task's timer, in place of the one it had."""

    timer: Timer
    seconds: float
    generation: int


@dataclass(frozen=True, slots=True)
class Disarm:
    """Take back the task's timer."""


@dataclass(frozen=True, slots=True)
class Emit:
    """Tell the world; named as in :class:`engine.wire.message.TaskEvent`."""

    event: str


Action = Spawn | Terminate | Abort | Kill | TellTarget | Arm | Disarm | Emit
Step = tuple[TaskState, list[Action]]


def reduce(  # noqa: C901 (a table: one line an event)
    state: TaskState, event: Event, now: float, jitter: float = 0.5
) -> Step:
    """The next state and what to do, in order.

    Args:
        now: seconds, monotonic.
        jitter: 0 to 1, a new random number each time.
    """
    if getattr(event, "generation", state.generation) != state.generation:
        return state, []
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
            return _exited(state, event, now, jitter)
        case FellSilent():
            return _silent(state, event)
        case TimedOut(timer=timer):
            return _timed_out(state, timer)


def _wanted(state: TaskState, event: Wanted) -> Step:
    is_new = not state.is_wanted or event.config_hash != state.wanted_hash
    was_paused = state.is_paused
    state = replace(
        state,
        is_wanted=True,
        is_final=False,
        is_paused=event.is_paused,
        wanted_hash=event.config_hash,
        policy=event.policy,
        stop_timeout=event.stop_timeout,
    )
    if is_new:
        state = _forgiven(state)
    if not state.has_process:
        return _spawn(state) if is_new or state.condition is Condition.STOPPED else (state, [])
    if state.ending is None and event.config_hash != state.process_hash:
        # nothing is handed over: the successor may work on something else
        return _stop(replace(state, is_final=True), ExitClass.STOPPED)
    if state.ending is None and was_paused != event.is_paused:
        return state, [TellTarget(event.is_paused)]
    return state, []


def _unwanted(state: TaskState) -> Step:
    if not state.has_process:
        return _gone(state)
    if state.ending is None:
        return _stop(state, ExitClass.STOPPED)
    return state, []


def _restart(state: TaskState) -> Step:
    state = _forgiven(state)
    if not state.is_wanted:
        return state, []
    if not state.has_process:
        return _spawn(_counted(state, ExitClass.OPERATOR))
    if state.ending in (ExitClass.UNRESPONSIVE, ExitClass.START_TIMEOUT):
        # it is being ended for a failure, which the policy might answer with FAILED
        return replace(_counted(state, ExitClass.OPERATOR), ending=ExitClass.OPERATOR), []
    if state.ending is None and state.condition is not Condition.STARTING:
        return _stop(_counted(state, ExitClass.OPERATOR), ExitClass.OPERATOR)
    return state, []  # a fresh process is on its way already


def _ready(state: TaskState, event: BecameReady, now: float) -> Step:
    if state.condition is not Condition.STARTING or state.ending is not None:
        return state, []
    condition = Condition.PAUSED if event.is_paused else Condition.RUNNING
    state = replace(state, condition=condition, running_since=now, trace=None)
    actions: list[Action] = [Disarm(), Emit(condition.lower())]
    if event.is_paused != state.is_paused:
        actions.append(TellTarget(state.is_paused))
    return state, actions


def _paused(state: TaskState, event: PauseDone) -> Step:
    if state.condition not in (Condition.RUNNING, Condition.PAUSED):
        return state, []
    condition = Condition.PAUSED if event.is_paused else Condition.RUNNING
    return replace(state, condition=condition), [Emit(condition.lower())]


def _silent(state: TaskState, event: FellSilent) -> Step:
    if state.condition not in (Condition.RUNNING, Condition.PAUSED) or state.ending is not None:
        return state, []
    state = replace(
        state,
        condition=Condition.UNRESPONSIVE,
        ending=ExitClass.UNRESPONSIVE,
        reason=f"no heartbeat for {event.seconds:.1f} s, in stage {event.stage}",
    )
    return state, [Emit("unresponsive"), Abort(), _arm(state, Timer.ABORT, ABORT_GRACE)]


def _timed_out(state: TaskState, timer: Timer) -> Step:  # noqa: C901 (a table)
    match timer:
        case Timer.RESTART:
            if state.condition is not Condition.BACKOFF:
                return state, []
            return _spawn(state)
        case Timer.START:
            if state.condition is not Condition.STARTING or state.ending is not None:
                return state, []
            reason = f"not RUNNING {state.policy.start_timeout:g} s after its start"
            return _stop(replace(state, reason=reason), ExitClass.START_TIMEOUT)
        case Timer.STOP | Timer.ABORT:
            if not state.has_process:
                return state, []
            return state, [Kill(), _arm(state, Timer.KILL, KILL_GRACE)]
        case Timer.KILL:
            if not state.has_process:
                return state, []
            return replace(state, condition=Condition.UNKILLABLE), [Emit("unkillable")]


def _exited(state: TaskState, event: Exited, now: float, jitter: float) -> Step:
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
        exit_code=_code_of(event.status),
        reason=_reason(state, event),
    )
    actions: list[Action] = [Disarm(), Emit("exited")]
    if not state.is_wanted:
        state, more = _gone(state)
    elif asked:
        state, more = _spawn(state)
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
    if exit_class.is_permanent or policy.mode == "never":
        return _give_up(state, event, f"not restarted: {_why_not(exit_class, policy)}")
    if policy.is_exhausted(state.restart_times, now):
        limit = f"restarted {policy.max_restarts} times within {policy.window:g} s"
        return _give_up(state, event, f"not restarted again: {limit}")
    state = _counted(state, exit_class)
    state = replace(
        state,
        failures=state.failures + 1,
        restart_times=(*policy.recent(state.restart_times, now), now),
        trace=_trace(event, state.reason),
    )
    delay = policy.delay_before(state.failures, jitter)
    if delay <= 0:
        return _spawn(state)
    state = replace(state, condition=Condition.BACKOFF, retry_at=now + delay)
    return state, [_arm(state, Timer.RESTART, delay), Emit("backoff")]


def _give_up(state: TaskState, event: Exited, why: str) -> Step:
    trace = f"{_trace(event, state.reason)}\n{why}"
    return replace(state, condition=Condition.FAILED, trace=trace), [Emit("failed")]


def _spawn(state: TaskState) -> Step:
    state = replace(
        state,
        condition=Condition.STARTING,
        generation=state.generation + 1,
        process_hash=state.wanted_hash,
        is_final=False,
        ending=None,
        retry_at=None,
        note=None,
    )
    return state, [
        Spawn(state.generation),
        _arm(state, Timer.START, state.policy.start_timeout),
        Emit("starting"),
    ]


def _stop(state: TaskState, why: ExitClass) -> Step:
    state = replace(state, condition=Condition.STOPPING, ending=why)
    return state, [
        Terminate(state.is_final),
        _arm(state, Timer.STOP, state.stop_timeout),
        Emit("stopping"),
    ]


def _gone(state: TaskState) -> Step:
    return replace(state, condition=Condition.STOPPED), [Disarm(), Emit("gone")]


def _arm(state: TaskState, timer: Timer, seconds: float) -> Arm:
    return Arm(timer, seconds, state.generation)


def _forgiven(state: TaskState) -> TaskState:
    """An operator's word wipes the slate."""
    return replace(state, failures=0, restart_times=(), trace=None)


def _counted(state: TaskState, why: ExitClass) -> TaskState:
    return replace(state, restarts={**state.restarts, why: state.restarts.get(why, 0) + 1})


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
