"""The supervisor's state file: what is remembered of tasks, a line for each change.

A line is a checksum and JSON. Lines are appended as things happen, without a wait for the disk: a
killed supervisor loses nothing, a power failure the last seconds. Lines that cannot be read, such
as one that was cut off, are passed over. When most lines are out of date the file is written anew
beside the old one, which is kept as ``.prev``.
"""

import asyncio
import contextlib
import os
import time
import zlib
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from engine.model.lifecycle.task_memory import ClockReading, TaskMemory
from engine.model.state import Condition
from engine.model.task_id import TaskId
from engine.supervisor.log import Log

SCHEMA_VERSION: Final = 1

_LEAST_TO_REWRITE: Final = 256 * 1024
_DIGITS: Final = 8
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """A supervisor began to write."""

    schema: int = SCHEMA_VERSION


class Remembered(msgspec.Struct, frozen=True, tag="task"):
    """A task as it was at a moment; without a memory it is forgotten."""

    connector: str
    task: int
    at: ClockReading
    memory: TaskMemory | None = None


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """The supervisor was told to end, and has."""


_LINE: Final = msgspec.json.Decoder(Begun | Remembered | Ended)


class StateFile:
    """Reads what the last supervisor left, and writes what this one's tasks become.

    Args:
        path: the file; its directory exists.
        log: hears of lines that cannot be read and of a disk that takes nothing.

    Attributes:
        is_behind: the disk did not take everything; the next change, or tick, tries again.
    """

    def __init__(self, path: Path, log: Log) -> None:
        self._path = path
        self._log = log
        self._newest: dict[TaskId, Remembered] = {}
        self._untaken: dict[TaskId, Remembered] = {}
        self._sizes: dict[TaskId, int] = {}
        self._changed: set[TaskId] = set()
        self._boot_id = _boot_id()
        self._fd = -1
        self._size = 0
        self._was_ended = False
        self.is_behind = False

    def load(self) -> None:
        """Read what the last supervisor remembered, and begin to write."""
        for path in (self._path, _previous(self._path)):
            lines, bad = _read(path)
            if bad:
                self._log.warning("the state file has unreadable lines", path=str(path), lines=bad)
            if lines:
                break
        self._apply(lines)
        self._append(_encode(Begun()))
        self._untaken = dict(self._newest)

    def _apply(self, lines: Iterable[Begun | Remembered | Ended]) -> None:
        for line in lines:
            self._was_ended = isinstance(line, Ended)
            if isinstance(line, Begun) and line.schema > SCHEMA_VERSION:
                self._log.warning(
                    "the state file is a newer engine's; what that one wrote is not used",
                    path=str(self._path),
                    schema=line.schema,
                )
                return
            if isinstance(line, Remembered):
                task = TaskId(line.connector, line.task)
                if line.memory is None:
                    self._newest.pop(task, None)
                else:
                    self._newest[task] = line

    def take(self, task: TaskId) -> tuple[TaskMemory, float] | None:
        """What the last supervisor knew of a task, and how many seconds ago; once."""
        found = self._untaken.pop(task, None)
        if found is None or found.memory is None:
            return None
        memory = found.memory
        if self._was_ended and memory.condition is Condition.FAILED:
            # whoever ended the engine and starts it again wants another try
            memory = msgspec.structs.replace(memory, condition=Condition.STOPPED)
        return memory, found.at.elapsed_until(self._now())

    def forget_the_rest(self, but: Collection[TaskId] = ()) -> None:
        """Nobody wants the tasks that were not taken, but for these, which wait for room."""
        for task in [each for each in self._untaken if each not in but]:
            del self._untaken[task]
            self.put(task, None)

    def _now(self) -> ClockReading:
        """This moment."""
        boottime = time.clock_gettime(time.CLOCK_BOOTTIME)
        return ClockReading(self._boot_id, boottime, datetime.now(UTC).timestamp())

    def put(self, task: TaskId, memory: TaskMemory | None) -> None:
        """Remember a task, or forget it; written before the loop turns again."""
        if memory is None and task not in self._newest:
            return
        line = Remembered(task.connector, task.task, self._now(), memory)
        self._newest[task] = line
        if not self._changed:
            asyncio.get_running_loop().call_soon(self.flush)
        self._changed.add(task)

    def flush(self) -> None:
        """Write what has changed."""
        changed, self._changed = self._changed, set()
        lines = {task: _encode(self._newest[task]) for task in changed}
        for task, line in lines.items():
            self._sizes[task] = len(line)
            if self._newest[task].memory is None:
                del self._newest[task], self._sizes[task]
        if self.is_behind or self._size > max(_LEAST_TO_REWRITE, 4 * sum(self._sizes.values())):
            self._rewrite()
        elif lines:
            self._append(b"".join(lines.values()))

    def _append(self, data: bytes) -> None:
        try:
            if self._fd < 0:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                self._fd = os.open(self._path, flags, 0o640)
                self._size = os.fstat(self._fd).st_size
                data = b"\n" + data if self._size else data  # the last line may be cut off
            written = os.write(self._fd, data)
        except OSError as error:
            self._failed(str(error.strerror))
            return
        self._size += written
        if written < len(data):
            self._failed("no room")

    def _rewrite(self) -> None:
        """The whole of it in a new file; the old one stays until the new one is complete."""
        draft = self._path.with_suffix(".new")
        data = b"".join(map(_encode, (Begun(), *self._newest.values())))
        try:
            with draft.open("wb") as file:
                file.write(data)
            with contextlib.suppress(FileNotFoundError):
                os.replace(self._path, _previous(self._path))
            os.replace(draft, self._path)
        except OSError as error:
            self._failed(str(error.strerror))
            return
        self._close()
        self._size = len(data)
        if self.is_behind:
            self._log.info("the state file is complete again", path=str(self._path))
        self.is_behind = False

    def _failed(self, problem: str) -> None:
        if not self.is_behind:
            self._log.error(
                "the state file cannot be written; it is tried again",
                path=str(self._path),
                error=problem,
            )
        self.is_behind = True

    def end(self) -> None:
        """The last word of a supervisor that was told to end."""
        self.flush()
        self._append(_encode(Ended()))
        self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _previous(path: Path) -> Path:
    return path.with_name(f"{path.name}.prev")


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _encode(line: msgspec.Struct) -> bytes:
    text = msgspec.json.encode(line)
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _read(path: Path) -> tuple[list[Begun | Remembered | Ended], int]:
    """The lines that can be read, in order, and the number of others."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return [], 0
    except OSError:
        return [], 1
    texts = [text for text in data.split(b"\n") if text]
    lines = list(_decode(texts))
    return lines, len(texts) - len(lines)


def _decode(texts: Iterable[bytes]) -> Iterator[Begun | Remembered | Ended]:
    for text in texts:
        checksum, json = text[:_DIGITS], text[_DIGITS + 1 :]
        with contextlib.suppress(ValueError, msgspec.MsgspecError):
            if int(checksum, 16) == zlib.crc32(json):
                yield _LINE.decode(json)
