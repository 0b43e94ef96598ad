"""Files that lines are appended to: bounded by size and age, never waited for, never torn.

A disk that takes nothing costs its lines and nothing else: what was lost is counted, and a line in
the file says so as soon as the disk takes lines again.
"""

import contextlib
import os
import time
from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path
from typing import Final

from engine.supervisor.settings import Retention

_OLD_FILES: Final = 2
"""How many files of earlier lines there may be beside the one that is written."""

_FIRST_KEY: Final = b'{"timestamp":"'


class LogFile:
    """One log: ``NAME``, and ``NAME.1``, ``NAME.2`` with what was written before.

    Whoever moves or removes the file, as logrotate does, finds the next lines in a new one.

    Args:
        on_lost: gives the line that says how many bytes were lost, and why.

    Attributes:
        dropped: bytes that the disk did not take.
        problem: why it does not take them now; None while it does.
    """

    def __init__(
        self,
        path: Path,
        retention: Retention | None = None,
        on_lost: Callable[[int, str], bytes] | None = None,
    ) -> None:
        self.path = path
        self._retention = retention or Retention()
        self._on_lost = on_lost
        self._fd = -1
        self._size = 0
        self._begun = 0.0
        self._identity = (0, 0)
        self._untold = 0
        self.dropped = 0
        self.problem: str | None = None

    def write(self, lines: bytes) -> bool:
        """Append whole lines; False when the disk did not take all of them."""
        try:
            self._make_ready(len(lines))
            if self._untold and self._on_lost is not None:
                self._append(self._on_lost(self._untold, self.problem or ""))
            self._untold = 0
            self._append(lines)
        except OSError as error:
            self.problem = error.strerror or str(error)
            self.dropped += len(lines)
            self._untold += len(lines)
            return False
        self.problem = None
        return True

    def _make_ready(self, wanted: int) -> None:
        if self._fd >= 0 and not self._is_in_place():
            self.close()
        if self._fd < 0:
            self._open()
        if self._size and (self._is_full(wanted) or self._is_old()):
            self.roll()
            self._open()

    def _is_full(self, wanted: int) -> bool:
        return self._size + wanted > self._retention.most_bytes // (_OLD_FILES + 1)

    def _is_old(self) -> bool:
        """Whether the first line has half its time behind it."""
        longest = self._retention.longest
        return longest is not None and _wall_clock() - self._begun > longest / 2

    def _is_in_place(self) -> bool:
        """Whether the name still leads to the file that is open."""
        try:
            found = os.stat(self.path)
        except OSError:
            return False
        self._size = found.st_size  # others may have cut it short
        return (found.st_dev, found.st_ino) == self._identity

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
        self._fd = os.open(self.path, flags, 0o640)
        found = os.fstat(self._fd)
        self._identity = (found.st_dev, found.st_ino)
        self._size = found.st_size
        self._begun = _time_of_first_line(self._fd) or found.st_mtime
        if self._size and os.pread(self._fd, 1, self._size - 1) not in (b"\n", b""):
            self._append(b"\n")  # a power failure tore the last line

    def _append(self, data: bytes) -> None:
        """All of it or nothing: half a line would spoil the next one.

        Raises:
            OSError: there is no room.
        """
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:] if written else data)
        except OSError:
            if written:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
            raise
        self._size += written

    def roll(self) -> None:
        """Begin a new file; the oldest is removed."""
        self.close()
        for number in range(_OLD_FILES, 0, -1):
            newer = str(self.path) if number == 1 else f"{self.path}.{number - 1}"
            with contextlib.suppress(FileNotFoundError):
                os.replace(newer, f"{self.path}.{number}")

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def remove_expired(directory: Path, longest: float | None, kept: Collection[str] = ()) -> None:
    """Remove the files that nobody has written to for so long, those of former tasks among them.

    Args:
        longest: seconds; None removes nothing.
        kept: names of files that somebody else holds open.
    """
    if longest is None:
        return
    then = _wall_clock() - longest
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.name not in kept and _is_file_from_before(entry, then):
                    os.unlink(entry.path)


def _is_file_from_before(entry: "os.DirEntry[str]", then: float) -> bool:
    return entry.is_file(follow_symlinks=False) and entry.stat().st_mtime < then


def _time_of_first_line(fd: int) -> float | None:
    head = os.pread(fd, 64, 0)
    if not head.startswith(_FIRST_KEY):
        return None
    text = head.removeprefix(_FIRST_KEY).partition(b'"')[0].decode("ascii", "replace")
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _wall_clock() -> float:
    return time.clock_gettime(time.CLOCK_REALTIME)
