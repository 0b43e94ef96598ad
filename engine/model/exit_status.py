"""How a task's process ended, and what that means for starting it again."""

import signal
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

from engine.api.config import nearest

_HIGHEST_CODE: Final = 255

EXIT_OK = 0
EXIT_BAD_RECORD = 65  # a record failed and errors.tolerance does not allow for it
EXIT_UNAVAILABLE = 69  # a plugin is not installed
EXIT_SOFTWARE = 70  # an exception that nobody expected
EXIT_OUT_OF_MEMORY = 71  # Python could get no more memory
EXIT_TRANSIENT = 75  # worth another try
EXIT_AUTHENTICATION = 77  # credentials were refused
EXIT_CONFIG = 78  # the configuration cannot work
EXIT_LOST_PARENT = 111  # the supervisor died while the process was being made
EXIT_TERMINATED = 143  # ended in good order by a SIGTERM that the supervisor did not send
"""Exit codes follow sysexits.h where it has one."""


class ExitClass(StrEnum):
    """Why a process ended, as the restart policy and the metrics count it.

    ``KILLED`` is a signal from outside: somebody typed ``kill``. ``OPERATOR`` is a restart that
    somebody asked the engine for, ``STOPPED`` an end that was wanted; ``SOFT_MEMORY`` and
    ``RECYCLED`` are fresh processes for tasks that were well.
    """

    CLEAN = "clean"
    CONFIG = "config"
    AUTHENTICATION = "authentication"
    MISSING_PLUGIN = "missing_plugin"
    BAD_RECORD = "bad_record"
    TRANSIENT = "transient"
    CRASH = "crash"
    OUT_OF_MEMORY = "out_of_memory"
    KILLED = "killed"
    START_TIMEOUT = "start_timeout"
    START_FAILED = "start_failed"
    UNRESPONSIVE = "unresponsive"
    NO_PROGRESS = "no_progress"
    SOFT_MEMORY = "soft_memory"
    RECYCLED = "recycled"
    STOPPED = "stopped"
    OPERATOR = "operator"

    @property
    def is_permanent(self) -> bool:
        """Whether the same thing would happen again, so that no restart is tried."""
        return self in _PERMANENT


_PERMANENT = frozenset(
    (
        ExitClass.CONFIG,
        ExitClass.AUTHENTICATION,
        ExitClass.MISSING_PLUGIN,
        ExitClass.BAD_RECORD,
    )
)

_BY_CODE = {
    EXIT_OK: ExitClass.CLEAN,
    EXIT_BAD_RECORD: ExitClass.BAD_RECORD,
    EXIT_UNAVAILABLE: ExitClass.MISSING_PLUGIN,
    EXIT_OUT_OF_MEMORY: ExitClass.OUT_OF_MEMORY,
    EXIT_TRANSIENT: ExitClass.TRANSIENT,
    EXIT_AUTHENTICATION: ExitClass.AUTHENTICATION,
    EXIT_CONFIG: ExitClass.CONFIG,
    EXIT_TERMINATED: ExitClass.KILLED,
}


class ExitStatus(msgspec.Struct, frozen=True):
    """The end of a process: an exit code, or a signal and whether it left a core."""

    code: int | None = None
    signal: int | None = None
    core: bool = False

    def classify(self) -> ExitClass:
        """What kind of end this was, as far as the status alone tells."""
        if self.signal is not None:
            return ExitClass.KILLED if self.signal == signal.SIGKILL else ExitClass.CRASH
        return _BY_CODE.get(self.code or 0, ExitClass.CRASH)

    def __str__(self) -> str:
        if self.signal is None:
            return f"exit code {self.code}"
        return f"killed by {signal_name(self.signal)}{', core dumped' if self.core else ''}"


def signal_name(number: int) -> str:
    """``SIGSEGV``; ``signal 40`` where it has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def exit_numbers(texts: Iterable[str]) -> tuple[int, ...]:
    """Exit codes, and signals as negative numbers, of ``3``, ``64-78``, ``SIGSEGV``.

    Raises:
        ValueError: one of the texts is none of these; the message says which.
    """
    return tuple(number for text in texts for number in _numbers(text))


def _numbers(text: str) -> Iterable[int]:
    first, _, last = text.partition("-")
    if first.isdigit() and (last.isdigit() or text == first):
        low, high = int(first), int(last or first)
        if low <= high <= _HIGHEST_CODE:
            return range(low, high + 1)
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    if name in signal.Signals.__members__:
        return (-signal.Signals[name],)
    likely = nearest(name, signal.Signals.__members__) if text else None
    raise ValueError(
        f"{text} is neither an exit code (0 to {_HIGHEST_CODE}), nor a range of them such as "
        f"64-78, nor a signal{f'; did you mean {likely}?' if likely else ' such as SIGSEGV'}"
    )
