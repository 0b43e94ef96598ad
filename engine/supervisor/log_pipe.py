"""The pipe that a task prints into: held here over all its processes, so no last word is lost."""

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Any, Final

import msgspec

from engine.model.log_line import RECORD_SEPARATOR
from engine.supervisor.launch import Pipe, open_output
from engine.supervisor.log import Log, now_text

_BUDGET: Final = 128 * 1024
_LONGEST_LINE: Final = 64 * 1024
_TAIL: Final = 64 * 1024
_DRAIN_MOST: Final = 8 << 20


class LogFile:
    """An appended file that rolls over by size and never raises: what cannot be written is counted.

    Attributes:
        dropped: bytes that the disk did not take.
    """

    def __init__(self, path: Path, *, most_bytes: int = 16 << 20, keep: int = 2) -> None:
        self._path = path
        self._most = most_bytes
        self._keep = keep
        self._fd = -1
        self._size = 0
        self.dropped = 0

    def write(self, data: bytes) -> None:
        """Append."""
        try:
            if self._fd < 0:
                self._open()
            elif self._size + len(data) > self._most:
                self._roll()
            self._size += os.write(self._fd, data)
        except OSError:
            self.dropped += len(data)

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(self._path, flags, 0o640)
        self._size = os.fstat(self._fd).st_size

    def _roll(self) -> None:
        self.close()
        for number in range(self._keep, 0, -1):
            older = f"{self._path}.{number}"
            newer = str(self._path) if number == 1 else f"{self._path}.{number - 1}"
            with contextlib.suppress(FileNotFoundError):
                os.replace(newer, older)
        self._open()

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class LogPipe:
    """Reads lines from a pipe and gives them to a file and to the service's log.

    Attributes:
        write_fd: what a new process gets as its standard output and error.
        tail: the last 64 KiB, for the explanation of a death.
    """

    def __init__(
        self, log: Log, context: dict[str, Any], path: Path | None, pipe: Pipe | None = None
    ) -> None:
        self._log = log
        self._context = context
        self._file = LogFile(path) if path else None
        self._read_fd, self.write_fd = pipe or open_output()
        os.set_blocking(self._read_fd, False)
        self._partial = b""
        self.tail = bytearray()
        asyncio.get_running_loop().add_reader(self._read_fd, self._read)

    def _read(self) -> int:
        try:
            data = os.read(self._read_fd, _BUDGET)
        except OSError:
            return 0
        if data:
            self._take(data)
        return len(data)

    def drain(self) -> None:
        """Take everything that is in the pipe now; an unfinished line counts as a line."""
        left = _DRAIN_MOST
        while left > 0 and (got := self._read()):
            left -= got
        if self._partial:
            self._line(self._partial)
            self._partial = b""

    def _take(self, data: bytes) -> None:
        self.tail += data
        del self.tail[:-_TAIL]
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._line(line)
        while len(self._partial) > _LONGEST_LINE:
            self._line(self._partial[:_LONGEST_LINE])
            self._partial = self._partial[_LONGEST_LINE:]

    def _line(self, line: bytes) -> None:
        printed, *events = line.split(RECORD_SEPARATOR)
        self._printed(printed)
        for event in events:
            if not _is_object(event):  # cut off by a death, or printed by somebody else
                self._printed(event)
                continue
            self._log.show_encoded(event)
            if self._file:
                self._file.write(event + b"\n")

    def _printed(self, line: bytes) -> None:
        """Something that a library or a plugin printed."""
        if not line.strip():
            return
        event = {
            "timestamp": now_text(),
            "level": "info",
            "event": line.decode("utf-8", "backslashreplace"),
            "logger": "output",
            **self._context,
        }
        self._log.show(event)
        if self._file:
            self._file.write(msgspec.json.encode(event) + b"\n")

    @property
    def dropped(self) -> int:
        """Bytes that the disk did not take."""
        return self._file.dropped if self._file else 0

    def close(self) -> None:
        """Read what is left and close both ends."""
        asyncio.get_running_loop().remove_reader(self._read_fd)
        self.drain()
        os.close(self._read_fd)
        os.close(self.write_fd)
        if self._file:
            self._file.close()


def _is_object(data: bytes) -> bool:
    try:
        msgspec.json.decode(data, type=dict)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return True
