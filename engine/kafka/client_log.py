"""What librdkafka logs, without the same line over and over.

While a broker is away every attempt to reach it is a line, a dozen a second for each client.
"""

import logging
import re
import time
from collections.abc import Callable
from typing import Final

_QUIET: Final = 60.0
"""Seconds for which a line is not repeated."""

_MOST_LINES: Final = 200
_VARYING: Final = re.compile(r" \(after \d+ms[^)]*\)")


class OncePerMinute(logging.Filter):
    """Lets a line through once in a while, and then says how often it came in between."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._told: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this line is to be written."""
        text = record.getMessage()
        line, now = _VARYING.sub("", text), self._clock()
        told = self._told.get(line)
        if told is not None and now - told < _QUIET:
            self._held[line] = self._held.get(line, 0) + 1
            return False
        if len(self._told) >= _MOST_LINES:
            self._told.clear()
            self._held.clear()
        self._told[line] = now
        held = self._held.pop(line, 0)
        if held:
            record.msg, record.args = f"{text} ({held} times more before)", ()
        return True


def client_logger(name: str, clock: Callable[[], float] = time.monotonic) -> logging.Logger:
    """A logger for one client; it writes where all of this process write."""
    logger = logging.Logger(name)  # noqa: LOG001 (not shared: it ends with its client)
    logger.parent = logging.getLogger()
    logger.addFilter(OncePerMinute(clock))
    return logger
