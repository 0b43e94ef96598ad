"""The supervisor's own log, and the console that every process's lines end up on."""

import collections
import contextlib
import fcntl
import json
import os
import select
import stat
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from engine.model.log_line import LEVELS, readable
from engine.supervisor.settings import OutputLimits
from engine.supervisor.standard_stream import own_description

_CHUNK: Final = select.PIPE_BUF
_MOST_WAITING: Final = 1 << 20


def now_text() -> str:
    """The wall clock for people, RFC 3339."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Console:
    """Writes lines to a descriptor without ever waiting for it; what does not fit is counted.

    A task may write to the same pipe: a lock keeps either from beginning inside the other's line.

    When there is room again, a line says how much was lost.

    Args:
        on_lost: gives that line.

    Attributes:
        dropped: bytes that nobody read in time.
    """

    def __init__(self, fd: int, on_lost: Callable[[int], bytes] | None = None) -> None:
        self._fd = fd
        self._is_file = stat.S_ISREG(os.fstat(fd).st_mode)
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._waiting: collections.deque[bytes] = collections.deque()
        self._waiting_bytes = 0
        self._untold = 0
        self._has_begun = False
        self._is_torn = False
        self.on_lost = on_lost
        self.dropped = 0

    def write(self, data: bytes) -> None:
        """Write now, or keep for later, or drop."""
        if self._waiting_bytes + len(data) > _MOST_WAITING:
            self._lose(len(data))
            return
        self._keep(data)
        self.flush()

    def _keep(self, data: bytes) -> None:
        self._waiting.append(data)
        self._waiting_bytes += len(data)

    def _lose(self, size: int) -> None:
        self.dropped += size
        self._untold += size

    @property
    def waiting(self) -> bytes:
        """What nobody has read yet."""
        return b"".join(self._waiting)

    def flush(self) -> None:
        """Write what waits, as far as the reader takes it; called on every tick."""
        if not self._waiting or not self._lock():
            return
        while self._waiting and (self._is_file or self._poll.poll(0)):
            data = self._waiting.popleft()
            try:
                written = self._write(data)
            except BlockingIOError:
                self._waiting.appendleft(data)
                break
            except OSError:
                self._lose(len(data))
                written = len(data)
            self._waiting_bytes -= written
            if written < len(data):
                self._waiting.appendleft(data[written:])
        self._unlock()

    def _lock(self) -> bool:
        """Whether nobody else is in the middle of a line."""
        if self._is_file:
            return True
        with contextlib.suppress(OSError):  # what cannot be locked is written without
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def _unlock(self) -> None:
        """Let others write, unless we are in the middle of a line ourselves."""
        if not self._is_file and not self._has_begun:
            with contextlib.suppress(OSError):
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _write(self, data: bytes) -> int:
        """How much of it was written; a line behind half a one begins as a line.

        Raises:
            OSError: nobody will read it.
        """
        missing = b"\n" if self._is_torn else b""
        taken = missing + (data if self._is_file else _piece(data))
        try:
            written = os.write(self._fd, taken) - len(missing)
        except BlockingIOError:
            raise
        except OSError:
            self._is_torn, self._has_begun = self._is_torn or self._has_begun, False
            raise
        self._is_torn = False
        if written:
            self._has_begun = data[written - 1 : written] != b"\n"
        if self._untold and self.on_lost is not None:
            lost, self._untold = self._untold, 0
            self._keep(self.on_lost(lost))
        return written


def _piece(data: bytes) -> bytes:
    """As much as a pipe takes at once: whole lines, where they are not longer than that."""
    end = data.rfind(b"\n", 0, _CHUNK - 1) + 1
    return data[: end or _CHUNK - 1]


class Log:
    """Events as lines: JSON or readable, chosen once for the whole service.

    Attributes:
        limits: of what other processes print, for all their pipes.
        on_own: hears of every event of the supervisor itself: level, text, fields.
    """

    def __init__(
        self,
        console: Console,
        *,
        as_json: bool,
        level: str = "info",
        limits: OutputLimits | None = None,
    ) -> None:
        self.console = console
        self.limits = limits or OutputLimits()
        self.on_own: Callable[[str, str, dict[str, Any]], None] | None = None
        self._as_json = as_json
        self.set_level(level)
        console.on_lost = self._lost

    def set_level(self, level: str) -> None:
        """The least severe events of the supervisor itself that are shown."""
        self._least = LEVELS.get(level.lower(), LEVELS["info"])

    def _lost(self, size: int) -> bytes:
        text = f"{size} bytes of the service's log were lost: nobody read them, or the disk is full"
        return self._line(self._event("warning", text, {}))

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
        if self.on_own is not None:
            self.on_own(level, event, fields)
        if LEVELS[level] >= self._least:
            self.console.write(self._line(self._event(level, event, fields)))

    def _event(self, level: str, event: str, fields: dict[str, Any]) -> dict[str, Any]:
        head = {"timestamp": now_text(), "level": level, "event": event}
        return {**head, "logger": "engine.supervisor", **fields}

    def _line(self, event: dict[str, Any]) -> bytes:
        if self._as_json:
            return encoded(event) + b"\n"
        return readable(event).encode("utf-8", "backslashreplace") + b"\n"

    def show_encoded(self, lines: Sequence[bytes]) -> None:
        """Write events that some process has encoded as JSON objects."""
        if self._as_json:
            self.console.write(b"\n".join(lines) + b"\n")
        else:
            self.console.write(b"".join(map(self._readable, lines)))

    def _readable(self, line: bytes) -> bytes:
        try:
            return self._line(msgspec.json.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError, AttributeError):
            return line + b"\n"


def encoded(event: dict[str, Any]) -> bytes:
    """An event as JSON; bytes that are no text are escaped."""
    try:
        return msgspec.json.encode(event)
    except UnicodeEncodeError:  # a file name may hold bytes that are no text
        return json.dumps(event, default=str).encode("ascii")


def log_to_stdout(log_format: str, level: str, limits: OutputLimits) -> Log:
    """The service's log: readable on a terminal, JSON elsewhere, unless the format is fixed."""
    fd = sys.stdout.fileno()
    as_json = log_format == "json" or (log_format == "auto" and not os.isatty(fd))
    return Log(Console(own_description(fd)), as_json=as_json, level=level, limits=limits)
