"""How a task's process ended, and what that means for starting it again."""

import signal
from dataclasses import dataclass
from enum import StrEnum

EXIT_OK = 0
EXIT_BAD_RECORD = 65  # a record failed and errors.tolerance does not allow for it
EXIT_SOFTWARE = 70  # an exception that nobody expected
EXIT_TRANSIENT = 75  # worth another try
EXIT_AUTHENTICATION = 77  # credentials were refused
EXIT_CONFIG = 78  # the configuration cannot work
EXIT_LOST_PARENT = 111  # the supervisor died while the process was being made
"""Exit codes follow sysexits.h where it has one."""


class ExitClass(StrEnum):
    """Why a process ended, as the restart policy and the metrics count it."""

    CLEAN = "clean"
    CONFIG = "config"
    AUTHENTICATION = "authentication"
    BAD_RECORD = "bad_record"
    TRANSIENT = "transient"
    CRASH = "crash"
    KILLED = "killed"
    START_TIMEOUT = "start_timeout"
    START_FAILED = "start_failed"
    UNRESPONSIVE = "unresponsive"
    STOPPED = "stopped"
    OPERATOR = "operator"

    @property
    def is_permanent(self) -> bool:
        """Whether the same thing would happen again, so that no restart is tried."""
        return self in (ExitClass.CONFIG, ExitClass.AUTHENTICATION, ExitClass.BAD_RECORD)


_BY_CODE = {
    EXIT_OK: ExitClass.CLEAN,
    EXIT_BAD_RECORD: ExitClass.BAD_RECORD,
    EXIT_TRANSIENT: ExitClass.TRANSIENT,
    EXIT_AUTHENTICATION: ExitClass.AUTHENTICATION,
    EXIT_CONFIG: ExitClass.CONFIG,
}


@dataclass(frozen=True, slots=True)
class ExitStatus:
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
        try:
            name = signal.Signals(self.signal).name
        except ValueError:
            name = f"signal {self.signal}"
        possible = " (possibly out of memory)" if self.signal == signal.SIGKILL else ""
        return f"killed by {name}{possible}{', core dumped' if self.core else ''}"
