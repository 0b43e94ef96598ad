"""Events of the journal: what a line of it says. Pure.

Every event has ``timestamp`` (RFC 3339, UTC), ``epoch`` (the run of the engine), ``seq`` (its
number in that run), ``event`` and ``by`` (who caused it). Events of a task have ``connector``,
``task``, ``generation``, most have ``from`` and ``to`` (values of
:class:`engine.model.state.Condition`) and ``why``; ``exited`` has ``death``, with the offsets
that were committed before the process and by it.

``by`` is ``supervisor`` (its policy), ``herder`` (its plans), ``process`` (it ended by itself),
``kernel`` (out of memory), ``unknown`` (a signal from outside), ``signal`` (the engine was told to
stop), ``command line``, ``connector files`` (a reload) or ``operator ADDRESS CLIENT``.
"""

import signal
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from engine.model.death import Death
from engine.model.exit_status import ExitClass
from engine.model.lifecycle.task_state import TaskState
from engine.model.state import Condition
from engine.model.task_id import TaskId

_LONGEST_TEXT: Final = 16 * 1024

_BECOMES: Final[Mapping[str, Condition]] = {
    "starting": Condition.STARTING,
    "running": Condition.RUNNING,
    "paused": Condition.PAUSED,
    "degraded": Condition.DEGRADED,
    "recovered": Condition.RUNNING,
    "stopping": Condition.STOPPING,
    "exited": Condition.STOPPED,
    "backoff": Condition.BACKOFF,
    "failed": Condition.FAILED,
    "unresponsive": Condition.UNRESPONSIVE,
    "unkillable": Condition.UNKILLABLE,
}
_ENDS_ORDER: Final = frozenset(("running", "paused", "failed", "backoff"))
"""What comes after these was not caused by an order before them."""

_OWN_SIGNALS: Final = frozenset(
    (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGSYS)
)
_BY_SUPERVISOR: Final = (
    ExitClass.UNRESPONSIVE,
    ExitClass.START_TIMEOUT,
    ExitClass.NO_PROGRESS,
    ExitClass.SOFT_MEMORY,
    ExitClass.RECYCLED,
)
_ORDERED: Final = (ExitClass.STOPPED, ExitClass.OPERATOR)


class LastRecorded(msgspec.Struct, frozen=True):
    """What was recorded of a task before."""

    condition: Condition | None = None
    generation: int = 0
    pid: int | None = None
    actor: str | None = None
    exit_class: str | None = None
    config_hash: str = ""


class TaskTransitions:
    """Remembers of each task what was recorded last, which the next event refers to."""

    def __init__(self) -> None:
        self._last: dict[TaskId, LastRecorded] = {}

    def fields(
        self,
        task: TaskId,
        event: str,
        state: TaskState,
        pid: int | None,
        death: Death | None,
        actor: str | None,
    ) -> dict[str, Any] | None:
        """What the journal says of this event; None when it says nothing.

        Args:
            event: as in :class:`engine.wire.herder_message.TaskEvent`.
            state: as it is afterwards.
            death: of the process that ended last.
            actor: who asked for it just now, if somebody did.
        """
        last = self._last.get(task, LastRecorded())
        if event == "forked":
            self._last[task] = replace(last, pid=pid)
            return None
        actor = actor or last.actor
        ended = death if event == "exited" else None
        becomes = _BECOMES.get(event)
        fields: dict[str, Any] = {
            "connector": task.connector,
            "task": task.task,
            # a successor may be on its way already
            "generation": ended.generation if ended else state.generation,
            "from": last.condition if becomes else None,
            "to": becomes,
            "why": _why(event, state, last, death, actor),
            "by": _cause(event, actor, ended),
            "pid": last.pid if ended else pid,
        }
        if ended is not None:
            fields["death"] = _shown(ended)
        elif event == "backoff" and death is not None:
            fields["retry_in"] = death.retry_in
        self._remember(task, event, state, actor, ended)
        return fields

    def known(self) -> tuple[tuple[TaskId, LastRecorded], ...]:
        """What is remembered, for a successor."""
        return tuple(self._last.items())

    def remember(self, known: Iterable[tuple[TaskId, LastRecorded]]) -> None:
        """What a predecessor knew."""
        self._last.update(known)

    def ordered(self, task: TaskId, actor: str | None) -> None:
        """Somebody gave an order that shows later."""
        self._last[task] = replace(self._last.get(task, LastRecorded()), actor=actor)

    def _remember(
        self, task: TaskId, event: str, state: TaskState, actor: str | None, ended: Death | None
    ) -> None:
        if event == "gone":
            self._last.pop(task, None)
            return
        last = self._last.get(task, LastRecorded())
        self._last[task] = LastRecorded(
            condition=_BECOMES.get(event, last.condition),
            pid=None if ended else last.pid,
            actor=None if event in _ENDS_ORDER else actor,
            exit_class=ended.exit_class if ended else last.exit_class,
            config_hash=state.process_hash if event == "starting" else last.config_hash,
        )


def _why(  # noqa: C901 (a table: one line an event)
    event: str, state: TaskState, last: LastRecorded, death: Death | None, actor: str | None
) -> str | None:
    match event:
        case "starting":
            return _why_started(state, last, death, actor)
        case "stopping":
            return _why_stopped(state)
        case "exited" if death is not None:
            return death.reason
        case "backoff":
            return f"failure {state.failures} in a row: {state.reason}"
        case "failed":
            return "; ".join(filter(None, (state.reason, state.verdict)))
        case "unresponsive" | "unkillable":
            return state.reason
        case "degraded":
            return state.stall
        case "recycling":
            return state.recycling_words
        case "recovered":
            return "records move again, or none waits"
        case "note":
            return state.note or "it is over"
        case "gone":
            return "it is no longer wanted" if state.is_final else "the engine stops"
        case _:
            return None


def _why_started(
    state: TaskState, last: LastRecorded, death: Death | None, actor: str | None
) -> str:
    if last.condition is None:
        return "it is wanted"
    if last.config_hash != state.process_hash:
        return "its configuration changed"
    if actor is not None:
        return "a new process was asked for"
    if last.condition is Condition.BACKOFF:
        return "the back-off is over"
    return f"the last process ended: {death.reason}" if death else "it is wanted"


def _why_stopped(state: TaskState) -> str | None:
    if state.ending is ExitClass.OPERATOR:
        return "a new process was asked for"
    if state.ending is not ExitClass.STOPPED:
        return state.reason
    if state.is_wanted:
        return "its configuration changed"
    return "it is no longer wanted" if state.is_final else "the engine stops"


def _cause(event: str, actor: str | None, ended: Death | None) -> str | None:
    if event == "note":
        return "process"
    return actor or (_culprit(ended) if ended else None)


def _culprit(death: Death) -> str | None:
    """Who ended a process that nobody had told to end."""
    if death.exit_class in (*_BY_SUPERVISOR, *_ORDERED):
        return None
    if death.out_of_memory:
        return "kernel"
    if death.signal is not None:
        return "process" if death.signal in _OWN_SIGNALS else "unknown"
    return "process"


def _shown(death: Death) -> dict[str, Any]:
    """The record without what the event itself says; long texts lose their beginning."""
    shown: dict[str, Any] = msgspec.to_builtins(death)
    for name in ("generation", "reason"):
        shown.pop(name, None)
    for name in ("traceback", "stacks", "first_error", "error"):
        if name in shown:
            shown[name] = shown[name][-_LONGEST_TEXT:]
    return shown
