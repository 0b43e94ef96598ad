"""The supervisor's own log, and the console that every process's lines end up on."""

import collections
import json
import os
import select
import stat
import sys
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from engine.model.log_line import LEVELS, readable

_CHUNK: Final = select.PIPE_BUF
_MOST_WAITING: Final = 1 << 20


def now_text() -> str:
    """The wall clock for people, RFC 3339."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Console:
    """Writes lines to a descriptor without ever waiting for it; what does not fit is counted.

    Attributes:
        dropped: bytes that nobody read in time.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._is_file = stat.S_ISREG(os.fstat(fd).st_mode)
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._waiting: collections.deque[bytes] = collections.deque()
        self._waiting_bytes = 0
        self.dropped = 0

    def write(self, data: bytes) -> None:
        """Write now, or keep for later, or drop."""
        if self._waiting_bytes + len(data) > _MOST_WAITING:
            self.dropped += len(data)
            return
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        self.flush()

    def flush(self) -> None:
        """Write what waits, as far as the reader takes it; called on every tick."""
        while self._waiting and (self._is_file or self._poll.poll(0)):
            data = self._waiting.popleft()
            try:
                written = os.write(self._fd, data[:_CHUNK])
            except OSError:
                self.dropped += len(data)
                written = len(data)
            self._waiting_bytes -= written
            if written < len(data):
                self._waiting.appendleft(data[written:])


class Log:
    """Events as lines: JSON or readable, chosen once for the whole service."""

    def __init__(self, console: Console, *, as_json: bool, level: str = "info") -> None:
        self.console = console
        self._as_json = as_json
        self._least = LEVELS.get(level.lower(), 20)

    def debug(self, event: str, **fields: Any) -> None:
        """For whoever looks closely."""
        self._own("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """The life of processes."""
        self._own("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Unexpected, but recovered."""
        self._own("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Somebody must act."""
        self._own("error", event, fields)

    def _own(self, level: str, event: str, fields: dict[str, Any]) -> None:
        if LEVELS[level] >= self._least:
            head = {"timestamp": now_text(), "level": level, "event": event}
            self.show({**head, "logger": "engine.supervisor", **fields})

    def show(self, event: dict[str, Any]) -> None:
        """Write an event."""
        if self._as_json:
            self.console.write(_encoded(event) + b"\n")
        else:
            self.console.write(readable(event).encode("utf-8", "backslashreplace") + b"\n")

    def show_encoded(self, line: bytes) -> None:
        """Write an event that some process has encoded as JSON."""
        if self._as_json:
            self.console.write(line + b"\n")
            return
        try:
            self.show(msgspec.json.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError, AttributeError):
            self.console.write(line + b"\n")


def _encoded(event: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(event)
    except UnicodeEncodeError:  # a file name may hold bytes that are no text
        return json.dumps(event, default=str).encode("ascii")


def log_to_stdout(log_format: str, level: str) -> Log:
    """The service's log: readable on a terminal, JSON elsewhere, unless the format is fixed."""
    fd = sys.stdout.fileno()
    as_json = log_format == "json" or (log_format == "auto" and not os.isatty(fd))
    return Log(Console(fd), as_json=as_json, level=level)
