"""The pipe that a task prints into: held here over all its processes, so no last word is lost.

Whatever comes out of it ends up as lines of JSON in a file and in the service's log: events of ours
as they are, everything else as events that say so. Nobody waits for a disk or for a reader; who
prints too much is cut short or made to wait, as configured.
"""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from engine.model.log_line import RECORD_SEPARATOR
from engine.model.token_bucket import TokenBucket
from engine.supervisor.handover import PipeHandover
from engine.supervisor.launch import Pipe, open_output
from engine.supervisor.log import Log, now_text
from engine.supervisor.log_file import LogFile
from engine.supervisor.noticed_errors import NoticedErrors

_BUDGET: Final = 128 * 1024
_LONGEST_LINE: Final = 64 * 1024
_TAIL: Final = 64 * 1024
_DRAIN_MOST: Final = 8 << 20
_BURST_SECONDS: Final = 8.0
_SILENCE: Final = 1.0
"""Seconds for which nothing is kept of a process that printed too much."""

_ENCODE: Final = msgspec.json.Encoder().encode
_DECODE: Final = msgspec.json.Decoder(dict[str, Any]).decode


class LastWords(NamedTuple):
    """What one process left behind.

    Attributes:
        output: the last 64 KiB of all that it wrote, as it wrote them.
        errors: the first and the last error in it.
    """

    output: bytes
    errors: NoticedErrors


class LogPipe:
    """Reads lines from a pipe and gives them to a file and to the service's log.

    Attributes:
        write_fd: what a new process gets as its standard output and error.
        tail: the last 64 KiB, for the explanation of a death.
        errors: what was noticed since the last words were taken.
    """

    def __init__(
        self, log: Log, context: dict[str, Any], path: Path | None, pipe: Pipe | None = None
    ) -> None:
        self._log = log
        self._context = context
        limits = log.limits
        self._file = LogFile(path, limits.retention, self._disk_lost) if path else None
        rate = limits.bytes_per_second
        self._rate = TokenBucket(rate, rate * _BURST_SECONDS) if rate else None
        self._silent_until = 0.0
        self._lost = 0
        self._untold = 0
        self._read_fd, self.write_fd = pipe or open_output()
        os.set_blocking(self._read_fd, False)
        self._partial = b""
        self._is_beheaded = False  # what comes next belongs to a line whose beginning was dropped
        self._again: asyncio.TimerHandle | None = None
        self.tail = bytearray()
        self.errors = NoticedErrors()
        self._listen()

    def _listen(self) -> None:
        self._again = None
        asyncio.get_running_loop().add_reader(self._read_fd, self._read)

    @staticmethod
    def take_over(
        log: Log, context: dict[str, Any], path: Path | None, handed: PipeHandover
    ) -> "LogPipe":
        """The pipe of a supervisor before us, with the line that it was in the middle of."""
        pipe = LogPipe(log, context, path, (handed.read_fd, handed.write_fd))
        pipe._partial, pipe._lost, pipe._untold = handed.partial, handed.lost, handed.untold
        pipe.tail += handed.tail
        pipe._is_beheaded = bool(handed.untold) and not handed.tail.endswith(b"\n")
        pipe.errors = handed.errors
        return pipe

    def hand_over(self) -> PipeHandover:
        """What a successor needs to go on reading."""
        return PipeHandover(
            self._read_fd, self.write_fd, self._partial, bytes(self.tail), self._lost,
            self._untold, self.errors,
        )  # fmt: skip

    def _read(self, *, is_last: bool = False) -> int:
        try:
            data = os.read(self._read_fd, _BUDGET)
        except (OSError, MemoryError):
            return 0  # what there is stays in the pipe, and we are asked again
        if data:
            partial = self._partial
            try:
                self._take(data, is_last=is_last)
            except Exception as error:  # noqa: BLE001 (a reader that gives up would stop the task)
                self._partial = b""
                self._lost += len(partial) + len(data)
                self._log.error("output was not understood", **self._context, error=repr(error))
        return len(data)

    def drain(self) -> None:
        """Take everything that is in the pipe now; an unfinished line counts as a line."""
        self._rescue()
        left = _DRAIN_MOST
        while left > 0 and (got := self._read(is_last=True)):
            left -= got
        if self._partial:
            partial, self._partial = self._partial, b""
            events: list[bytes] = []
            self._add_line(partial, now_text(), events, cut="end")
            self._write(events)

    def add(self, text: str) -> None:
        """Lines about the process that came another way than through its pipe."""
        self._take(f"{text}\n".encode("utf-8", "backslashreplace"), is_last=True)

    def _rescue(self) -> None:
        """The last lines that were dropped are wanted after all: somebody died in a flood."""
        if not self._untold:
            return
        kept = bytes(self.tail[-min(self._untold, len(self.tail)) :])
        if len(kept) < self._untold:
            kept = kept.partition(b"\n")[2]  # its beginning is gone
        self._untold -= len(kept)
        if self._untold:
            self._tell_flood()
        self._is_beheaded = self._is_beheaded and not kept
        self._split(kept)

    def take_last_words(self) -> LastWords:
        """What the process that just ended left behind; the next one begins anew."""
        words = LastWords(bytes(self.tail), self.errors)
        self.tail = bytearray()
        self.errors = NoticedErrors()
        return words

    def _take(self, data: bytes, *, is_last: bool) -> None:
        self.tail += data
        del self.tail[:-_TAIL]
        if not is_last and self._rate is not None and self._is_too_much(self._rate, len(data)):
            self._untold += len(data) + len(self._partial)
            self._partial = b""
            self._is_beheaded = not data.endswith(b"\n")
            return
        if self._is_beheaded:
            rest, newline, data = data.partition(b"\n")
            self._untold += len(rest) + len(newline)
            self._is_beheaded = not newline
        if self._untold and not self._is_beheaded:
            self._tell_flood()
        self._split(data)

    def _split(self, data: bytes) -> None:
        now = now_text()
        events: list[bytes] = []
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._add_line(line, now, events)
        if len(self._partial) > _LONGEST_LINE:
            *pieces, self._partial = _pieces(self._partial)
            events += [self._printed(piece, now, "length") for piece in pieces]
        self._write(events)

    def _is_too_much(self, rate: TokenBucket, size: int) -> bool:
        """Whether these bytes are to be dropped; where a process is to wait, we stop reading."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now < self._silent_until:
            return True
        if rate.take(size, now):
            return False
        if not self._log.limits.is_blocking:
            self._silent_until = now + _SILENCE
            return True
        if self._again is None:
            loop.remove_reader(self._read_fd)
            self._again = loop.call_later(size / self._log.limits.bytes_per_second, self._listen)
        return False

    def _tell_flood(self) -> None:
        lost, self._untold = self._untold, 0
        self._lost += lost
        most = self._log.limits.bytes_per_second
        text = f"{lost} bytes of output were dropped: more than {most} bytes a second"
        self._write([self._own(text)])

    def _disk_lost(self, size: int, problem: str) -> bytes:
        return self._own(f"{size} bytes of this log were lost: {problem}") + b"\n"

    def _own(self, text: str) -> bytes:
        """A line of ours among those of the task."""
        return _ENCODE(
            {
                "timestamp": now_text(), "level": "warning", "event": text,
                "logger": "engine.supervisor", **self._context,
            }
        )  # fmt: skip

    def _add_line(self, line: bytes, now: str, events: list[bytes], cut: str | None = None) -> None:
        printed, *told = line.split(RECORD_SEPARATOR)
        self._add_printed(printed, now, events, None if told else cut)
        for number, data in enumerate(told, 1):
            event = _event(data)
            if event is None:  # cut off by a death, or printed by somebody else
                self._add_printed(data, now, events, cut if number == len(told) else None)
            else:
                self.errors.event(event)
                events.append(data)

    def _add_printed(self, line: bytes, now: str, events: list[bytes], cut: str | None) -> None:
        """Something that a library or a plugin printed."""
        if not line.strip():
            return
        *pieces, last = _pieces(line)
        events += [self._printed(piece, now, "length") for piece in pieces]
        events.append(self._printed(last, now, cut))

    def _printed(self, line: bytes, now: str, cut: str | None) -> bytes:
        text = line.decode("utf-8", "backslashreplace")
        self.errors.printed(text, now)
        event = {
            "timestamp": now, "level": "info", "event": text, "logger": "output", **self._context,
        }  # fmt: skip
        if cut is not None:
            event["cut"] = cut
        return _ENCODE(event)

    def _write(self, events: Sequence[bytes]) -> None:
        if not events:
            return
        self._log.show_encoded(events)
        if self._file:
            self._file.write(b"\n".join(events) + b"\n")

    @property
    def dropped(self) -> int:
        """Bytes that the disk did not take, or that were too many."""
        return self._lost + self._untold + (self._file.dropped if self._file else 0)

    @property
    def problem(self) -> str | None:
        """Why the file cannot be written; None when it can."""
        return self._file.problem if self._file else None

    def close(self) -> None:
        """Read what is left and close both ends."""
        if self._again is not None:
            self._again.cancel()
        asyncio.get_running_loop().remove_reader(self._read_fd)
        self.drain()
        os.close(self._read_fd)
        os.close(self.write_fd)
        if self._file:
            self._file.close()


def _pieces(line: bytes) -> list[bytes]:
    """The line in pieces that are not too long, none of which ends inside a character."""
    pieces = []
    while len(line) > _LONGEST_LINE:
        end = _LONGEST_LINE
        while end > _LONGEST_LINE - 4 and line[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(line[:end])
        line = line[end:]
    return [*pieces, line]


def _event(data: bytes) -> dict[str, Any] | None:
    try:
        return _DECODE(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
