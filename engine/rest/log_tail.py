"""The end of a log file, and what is added to it, over rotations. No waiting in here."""

import json
import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

from engine.model.log_line import RECORD_SEPARATOR
from engine.model.task_id import TaskId
from engine.rest.body import encode

_BLOCK: Final = 64 * 1024
_MOST_AT_ONCE: Final = 1024 * 1024
_OLDER_FILES: Final = 2


class LogTail:
    """Reads whole lines of one file; a file that is renamed away is read to its end first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._partial = b""

    def last(self, count: int, wanted: Callable[[bytes], bool] | None = None) -> list[bytes]:
        """The last lines, or the last of those that are wanted; :meth:`more` goes on behind them.

        Files that the lines were rolled over to are read as far as needed.
        """
        self.close()
        self._file = _opened(self._path)
        lines: list[bytes] = []
        if self._file is not None:
            end = self._file.seek(0, 2)
            backwards = _backwards(self._file, end)
            self._partial = next(backwards, b"")
            lines += islice(filter(wanted, backwards), count)
            self._file.seek(end)
        for number in range(1, _OLDER_FILES + 1):
            if len(lines) >= count or (before := _opened(f"{self._path}.{number}")) is None:
                break
            with before:
                backwards = _backwards(before, before.seek(0, 2))
                lines += islice(filter(wanted, backwards), count - len(lines))
        return lines[::-1]

    def more(self) -> list[bytes]:
        """Lines that were completed since; at most a megabyte of them."""
        if self._file is None:
            self._file = _opened(self._path)
            if self._file is None:
                return []
        elif self._path_is_other():
            return self._rest_of_old_file()
        elif os.fstat(self._file.fileno()).st_size < self._file.tell():  # truncated
            self._file.seek(0)
            self._partial = b""
        return self._read_lines()

    def _path_is_other(self) -> bool:
        assert self._file is not None
        try:
            return not os.path.samestat(self._path.stat(), os.fstat(self._file.fileno()))
        except OSError:  # between the renaming and the new file
            return False

    def _rest_of_old_file(self) -> list[bytes]:
        lines = self._read_lines()
        if not lines:
            lines = [self._partial] if self._partial else []
            self.close()
        return lines

    def _read_lines(self) -> list[bytes]:
        assert self._file is not None
        data = self._partial + self._file.read(_MOST_AT_ONCE)
        *lines, self._partial = data.split(b"\n")
        return lines

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
        self._file = None
        self._partial = b""


def _opened(path: "Path | str") -> IO[bytes] | None:
    try:
        return open(path, "rb")
    except OSError:
        return None


def _backwards(file: IO[bytes], position: int) -> Iterator[bytes]:
    """What stands behind the last line feed, then every line from the last to the first."""
    rest = b""
    while position > 0:
        step = min(_BLOCK, position)
        position = file.seek(position - step)
        rest, *lines = (file.read(step) + rest).split(b"\n")
        yield from reversed(lines)
    yield rest


def event_of(line: bytes, task: TaskId) -> dict[str, Any] | None:
    """A line of a log as an event; what is no JSON was printed by some library."""
    text = line.removeprefix(RECORD_SEPARATOR).decode("utf-8", "replace").rstrip("\r")
    if not text:
        return None
    where = {"connector": task.connector, "task": task.task}
    if text.startswith("{"):
        try:
            event = json.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            return {**where, **event}
    return {"level": "info", "event": text, "logger": "output", **where}


def json_line(event: dict[str, Any]) -> bytes:
    """An event as a line of JSON."""
    return encode(event) + b"\n"
