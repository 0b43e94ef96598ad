"""Where the supervisor's own loop hangs, written down in C and without a second thread.

A timer of the kernel runs out when the loop has not turned for long. So when somebody ends the
process for that, systemd's watchdog as a rule, the stacks are in the file already; its SIGABRT
writes them to standard error once more.
"""

import faulthandler
import os
import signal
from pathlib import Path
from typing import Final

from engine.supervisor.log import Log

_PATIENCE: Final = 15.0
_SHARE: Final = 0.5
"""Of the watchdog's time, which begins up to a third earlier than ours."""

_LONGEST: Final = 16 * 1024


class OwnStacks:
    """The file and the timer. What a supervisor before us has left is told in the log.

    Args:
        path: the file; empty as long as all is well.
        log: hears of it, and with it the journal.
        watchdog: seconds after which systemd ends a service that is silent, if it does.
    """

    def __init__(self, path: Path, log: Log, watchdog: float | None) -> None:
        self._seconds = _PATIENCE if watchdog is None else watchdog * _SHARE
        self._fd = -1
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        except OSError as error:
            log.warning("no stacks of a hanging supervisor", error=str(error))
            return
        faulthandler.register(signal.SIGALRM, self._fd, all_threads=True, chain=False)
        left = self._take()
        if left:
            log.error("the supervisor before this one hung and was ended", stacks=left)

    def turn(self) -> str | None:
        """The loop turns; called on every tick. Where it hung, if it did and goes on after all."""
        if self._fd < 0:
            return None
        signal.setitimer(signal.ITIMER_REAL, self._seconds)
        return self._take()

    def _take(self) -> str | None:
        size = os.fstat(self._fd).st_size
        if not size:
            return None
        text = os.pread(self._fd, _LONGEST, max(0, size - _LONGEST))
        os.ftruncate(self._fd, 0)
        return text.decode("utf-8", "backslashreplace")

    def close(self) -> None:
        """The loop ends in good order."""
        if self._fd >= 0:
            signal.setitimer(signal.ITIMER_REAL, 0)
            faulthandler.unregister(signal.SIGALRM)
            os.close(self._fd)
            self._fd = -1
