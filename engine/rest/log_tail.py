"""The end of a log file, and what is added to it, over rotations. No waiting in here."""

import json
import os
from pathlib import Path
from typing import IO, Any, Final

from engine.model.log_line import RECORD_SEPARATOR
from engine.model.task_id import TaskId
from engine.rest.body import encode

_BLOCK: Final = 64 * 1024
_MOST_AT_ONCE: Final = 1024 * 1024


class LogTail:
    """Reads whole lines of one file; a file that is renamed away is read to its end first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._partial = b""

    def last(self, count: int) -> list[bytes]:
        """The last lines; :meth:`more` goes on behind them."""
        self.close()
        self._file = _opened(self._path)
        lines: list[bytes] = []
        if self._file is not None:
            lines, self._partial = _last_lines(self._file, count)
        if len(lines) < count and (before := _opened(Path(f"{self._path}.1"))) is not None:
            with before:
                lines = _last_lines(before, count - len(lines))[0] + lines
        return lines

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


def _opened(path: Path) -> IO[bytes] | None:
    try:
        return path.open("rb")
    except OSError:
        return None


def _last_lines(file: IO[bytes], count: int) -> tuple[list[bytes], bytes]:
    """The last whole lines and what stands behind them; the file is left at its end."""
    position = end = file.seek(0, 2)
    data = b""
    while position > 0 and data.count(b"\n") <= count:
        step = min(_BLOCK, position)
        position = file.seek(position - step)
        data = file.read(step) + data
    file.seek(end)
    *lines, partial = data.split(b"\n")
    if position > 0:
        lines = lines[1:]  # its beginning was not read
    return lines[-count:] if count else [], partial


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
