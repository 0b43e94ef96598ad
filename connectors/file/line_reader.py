"""What a source task reads lines from: the protocol, its settings, and streams without an end."""

import os
import select
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from connectors.file.line_splitter import LineSplitter


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """How to read.

    Attributes:
        read_bytes: most bytes of one read.
        longest: most bytes of one line.
        last_line_timeout: seconds until an unended last line is given; None to wait for its end.
    """

    read_bytes: int = 1 << 20
    longest: int = 1 << 24
    is_gzip: bool = False
    last_line_timeout: float | None = None


class LineReader(Protocol):
    """Gives lines. ``step`` is called when ``take`` has no more."""

    condition: str | None

    def step(self) -> bool:
        """Read or look around once; False when there is nothing to do now."""

    def take(self, most: int | None) -> list[bytes]:
        """The next lines, all that are there or ``most``."""

    @property
    def offset(self) -> Mapping[str, int] | None:
        """Where to go on after the lines taken; None when nobody can."""

    @property
    def lag(self) -> int:
        """Bytes that are there and not taken."""

    def close(self) -> None:
        """Close what is open."""


class StreamReader:
    """Lines of standard input, a pipe or a terminal: nothing to come back to."""

    offset = None
    lag = 0

    def __init__(self, fd: int, name: str, settings: ReadSettings) -> None:
        self.condition: str | None = None
        self._fd = fd
        self._name = name
        self._most = settings.read_bytes
        self._splitter = LineSplitter(longest=settings.longest)
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    def step(self) -> bool:
        """Read what is there, without waiting."""
        if not self._poll.poll(0):
            return False
        try:
            chunk = os.read(self._fd, self._most)
        except BlockingIOError:  # somebody else was quicker
            return False
        self.condition = None if chunk else f"{self._name} has ended"
        if chunk:
            self._splitter.feed(chunk)
            return True
        self._splitter.finish()
        return False

    def take(self, most: int | None) -> list[bytes]:
        """The next lines."""
        return self._splitter.take(most)

    def close(self) -> None:
        """Close it."""
        os.close(self._fd)
