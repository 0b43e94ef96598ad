"""Writes a log as a web server would, so that something moves when nobody has named a file."""

import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

RATE: Final = 2_000
"""Lines per second."""

_MOST_AT_ONCE: Final = 20_000
_METHODS: Final = ("GET", "GET", "GET", "GET", "POST", "PUT", "DELETE")
_PLACES: Final = ("orders", "customers", "items", "carts", "invoices", "sessions")
_STATUSES: Final = (200, 200, 200, 200, 201, 204, 301, 304, 404, 500)


class LogWriter:
    """Appends lines to a file at a steady rate. Every line is unlike all others.

    Attributes:
        lines: lines in the file.
    """

    def __init__(self, path: Path, most: int, lines: int = 0) -> None:
        """Nothing is written yet.

        Args:
            path: the file.
            most: no more lines than this.
            lines: how many the file has already.
        """
        self.lines = lines
        self._most = most
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._random = random.Random(lines)  # noqa: S311 (for show, not for secrets)
        self._began: float | None = None
        self._written = 0

    @property
    def is_done(self) -> bool:
        """Whether all lines are written."""
        return self.lines >= self._most

    def write_due(self, now: float) -> None:
        """Write the lines that the rate asks for by now.

        Args:
            now: seconds, monotonic.

        Raises:
            OSError: the disk does not take them.
        """
        if self._began is None:
            self._began = now
        due = int((now - self._began) * RATE) - self._written
        count = min(due, self._most - self.lines, _MOST_AT_ONCE)
        if count <= 0:
            return
        data = memoryview("".join(self._made(count)).encode())
        while data:
            data = data[os.write(self._fd, data) :]
        self._written += count
        self.lines += count

    def _made(self, count: int) -> Iterator[str]:
        when = datetime.now(UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
        pick, number_below = self._random.choice, self._random.randrange
        for number in range(self.lines + 1, self.lines + 1 + count):
            request = f"{pick(_METHODS)} /{pick(_PLACES)}/{number_below(100_000)} HTTP/1.1"
            yield (
                f"203.0.113.{number_below(256)} - - [{when}] "
                f'"{request}" {pick(_STATUSES)} {number_below(60_000)} request={number:09d}\n'
            )

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
