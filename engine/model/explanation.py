"""Why a task's process ended, for people: one sentence, the facts, and what to do. Pure.

The text begins what the status shows as ``trace``; its first line is ``Type: message``, as upstream
begins a trace.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from engine.model.death import Death
from engine.model.exit_status import EXIT_SOFTWARE, ExitClass, ExitStatus
from engine.model.state import Condition
from engine.model.task_id import TaskId

_ENTRY: Final = 16
"""Width of the labels."""


class Facts(msgspec.Struct, frozen=True):
    """What is known of a task whose process ended.

    Attributes:
        condition: what the task is now.
        retry_in: seconds until the next start, in BACKOFF.
    """

    task: TaskId
    death: Death
    condition: str
    retry_in: float | None = None


def headline(death: Death) -> str:
    """``Type: message`` of what ended the process."""
    told = (death.error or "").strip().partition("\n")[0]
    return told or f"TaskDied: {death.reason}"


def sentence(facts: Facts) -> str:
    """Cause, class, how it ended and what followed, in one sentence."""
    death = facts.death
    lived = f"after {_time(death.lifetime)}" if death.lifetime else "at once"
    how = f"class {death.exit_class}, {status_text(death)}"
    return f"{facts.task} ended {lived} because {_cause(death)} ({how}); {_sequel(facts)}."


def status_text(death: Death) -> str:
    """``exit code 70`` or ``killed by SIGSEGV, core dumped``."""
    if death.exit_code is None and death.signal is None:
        return "no process was made"
    return str(ExitStatus(death.exit_code, death.signal, death.core))


def _cause(death: Death) -> str:
    if death.out_of_memory and death.signal is not None:
        return "it used more memory than it may, or than there is"
    if death.exit_class == ExitClass.CRASH and death.signal is None:
        if death.exit_code == EXIT_SOFTWARE:
            return "of an exception that nobody expected"
        return "code that it runs ended the process"
    return _CAUSES.get(death.exit_class, death.exit_class.replace("_", " "))


_CAUSES: Final[Mapping[str, str]] = {
    "clean": "code that it runs ended the process as if all were done",
    "config": "its configuration cannot work",
    "authentication": "its credentials were refused",
    "missing_plugin": "a plugin that it needs is not installed",
    "bad_record": "a record failed and errors.tolerance does not allow for it",
    "transient": "something failed that may work next time",
    "crash": "native code crashed",
    "out_of_memory": "it could get no more memory",
    "killed": "a signal from outside ended it",
    "start_timeout": "it took too long to start",
    "start_failed": "no process could be made for it",
    "unresponsive": "its loop stopped turning",
    "no_progress": "records waited and none moved",
    "soft_memory": "it used more memory than it should",
    "recycled": "it had done its share, and a fresh process was due",
    "stopped": "it was told to stop",
    "operator": "an operator wanted a new process",
}


def _sequel(facts: Facts) -> str:
    death, now = facts.death, facts.condition
    if death.then == Condition.FAILED:
        verdict = death.verdict or "not restarted"
        return verdict if now == Condition.FAILED else f"{verdict}; it is {now} now"
    if now == Condition.BACKOFF:
        wait = death.retry_in if facts.retry_in is None else facts.retry_in
        return f"it is started again in {_time(wait or 0.0)}"
    if death.then in (Condition.BACKOFF, Condition.STARTING):
        return f"it was started again and is {now} now"
    return "it was not to be started again"


def advice(facts: Facts) -> str:
    """What to do about it."""
    death = facts.death
    where = f"{facts.task.connector} --task {facts.task.task}"
    if death.out_of_memory:
        text = _ADVICE["out_of_memory"]
    elif death.exit_class == ExitClass.CRASH and death.signal is not None:
        text = _NATIVE
    else:
        text = _ADVICE.get(death.exit_class, "Look at what it logged last")
    if facts.condition == Condition.FAILED and death.exit_class not in _MENDED_BY_CONFIG:
        text += f"; then: engine ctl restart {where}"
    return f"{text}. Its log: engine ctl logs {where}"


_MENDED_BY_CONFIG: Final = (ExitClass.CONFIG, ExitClass.AUTHENTICATION)

_NATIVE: Final = (
    "A library that is not written in Python crashed: see the stack in the output below, update or"
    " replace the library, and report the crash to its maintainers"
)
_ADVICE: Final[Mapping[str, str]] = {
    "clean": "Find out what calls exit() in the connector or in a library of its own; a source that"
             " has nothing to read returns None from poll()",
    "config": "Correct the configuration that the message names; a changed configuration starts the"
              " task at once",
    "authentication": "Check user, password, certificate and permissions; a changed configuration"
                      " starts the task at once",
    "missing_plugin": "Install the plugin into the engine's environment, or correct its name",
    "bad_record": "Mend the record or what converts it, or let the task go on without such records:"
                  " errors.tolerance=all, and errors.deadletterqueue.topic.name to keep them",
    "transient": "Nothing, if it ends by itself; else look at the system that the message names",
    "crash": "Look at the traceback: it is a mistake in the connector, in a transformation or in"
             " what they were given",
    "out_of_memory": "Give it more memory, or less to hold at a time: smaller batches, smaller"
                     " client queues",
    "killed": "Find out who sent the signal: a person, a script, or the kernel for want of memory"
              " (journalctl -k | grep -i 'out of memory')",
    "start_timeout": "See what start() waits for in the stage and the output; where it needs so"
                     " long, raise engine.start.timeout.ms",
    "start_failed": "See the message: processes, memory or descriptors of this machine or user are"
                    " used up, or the interpreter cannot start",
    "unresponsive": "See in the stacks where it hangs; a call that may take so long belongs behind"
                    " context.busy(), or raise engine.heartbeat.timeout.ms",
    "no_progress": "See in the stacks and in the log what it waits for; where records may rest so"
                   " long, raise engine.progress.timeout.ms",
    "soft_memory": "Nothing, if that is rare; else look for a leak, or raise"
                   " engine.limit.memory.soft.bytes",
    "recycled": "Nothing: engine.recycle.records or engine.recycle.after.ms asks for it",
    "stopped": "Nothing: that was wanted",
    "operator": "Nothing: that was wanted",
}  # fmt: skip


def explain(facts: Facts) -> str:
    """The whole explanation but the output: what begins the ``trace``."""
    death = facts.death
    lines = [headline(death), sentence(facts), ""]
    lines += [f"{label + ':':<{_ENTRY}} {text}" for label, text in _entries(facts)]
    if death.traceback:
        lines += ["", death.traceback.strip()]
    if death.stacks:
        lines += ["", "Stacks before the end:", death.stacks.strip()]
    return "\n".join(lines)


def _entries(facts: Facts) -> Iterator[tuple[str, str]]:
    """Labels and texts, each of one line."""
    death = facts.death
    yield "ended", f"{when(death.ended_ms)}, {status_text(death)}"
    yield "memory", _MEMORY[_was_out_of_memory(death)]
    if death.first_error is not None and death.first_error != (death.error or death.reason):
        first = death.first_error.strip().partition("\n")[0]
        yield "first error", f"{when(death.first_error_ms)} {first}"
        yield "last error", headline(death)
    yield from zip(("logged first", "logged last"), _distinct(death), strict=False)
    yield "stage", death.stage + (f", with {death.in_hand}" if death.in_hand else "")
    if death.silence >= 1:
        yield "silent", f"for {_time(death.silence)} before its end"
    if death.committed_before or death.committed_after:
        yield "offsets before", _offsets(death.committed_before)
        yield "offsets after", _offsets(death.committed_after)
    yield "restarts", _restarts(death)
    if facts.condition == Condition.BACKOFF and facts.retry_in is not None:
        yield "next try", f"in {_time(facts.retry_in)}"
    yield "what to do", advice(facts)


def _was_out_of_memory(death: Death) -> bool | None:
    """Who ended by itself and did not say so had memory enough."""
    return death.out_of_memory or False if death.signal is None else death.out_of_memory


_MEMORY: Final[Mapping[bool | None, str]] = {
    True: "want of it ended the process",
    False: "not for want of memory",
    None: "nobody can tell whether the kernel ended it for want of memory",
}


def _distinct(death: Death) -> list[str]:
    """Logged errors that are not what ended the process anyway."""
    known = headline(death)
    return [each for each in death.logged if known not in each]


def _offsets(committed: Sequence[Any] | None) -> str:
    """``lines-0: 2000``; nothing was committed by a process that has committed nothing."""
    pairs = [each for each in committed or () if isinstance(each, (list, tuple))]
    others = [each for each in committed or () if isinstance(each, int)]
    texts = [f"{_plain(partition)}: {_plain(offset)}" for partition, offset in pairs]
    return ", ".join([*texts, *(f"and {number} more" for number in others)]) or "none"


def _plain(value: Any) -> str:
    """A partition or an offset of a source without the braces."""
    if not isinstance(value, dict):
        return str(value)
    return " ".join(f"{name}={each}" for name, each in value.items())


def _restarts(death: Death) -> str:
    if not death.restarts_max:
        return "none"
    window = f"{death.restarts} of at most {death.restarts_max} within"
    text = f"{window} {_time(death.restarts_window)}"
    times = ", ".join(when(each) for each in death.restarts_ms)
    return f"{text}: {times}" if times else text


def when(milliseconds: int | None) -> str:
    """A wall-clock time in UTC, as the log shows it."""
    if milliseconds is None:
        return ""
    at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time(seconds: float) -> str:
    if seconds < 0.1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
