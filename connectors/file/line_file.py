"""A file that whole lines are appended to, by any number of tasks, and that can be rolled.

Every look and every write happens under ``flock``. So a line that is torn when the lock was got
was torn by a process that is dead, and a write that failed can be taken back.
"""

import errno
import fcntl
import logging
import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from engine.api import ConfigError, ConnectError, RetriableError

log = logging.getLogger(__name__)

MARK = "user.engine.lines"
"""Extended attribute of files that were ours from their first byte or were completed by us; its
value is when that was, in milliseconds since the epoch."""

LOCK_SECONDS = 2.0
TAIL = 1 << 16


@dataclass(frozen=True, slots=True)
class RollPolicy:
    """When to begin a new file: at so many bytes, after so many seconds; None for never."""

    bytes: int | None = None
    seconds: float | None = None


def utc_now() -> datetime:
    """The wall clock, which names rolled files and tells their age."""
    return datetime.now(UTC)


class LineFile:
    """Appends batches of lines; each is in the file completely or not at all."""

    def __init__(
        self,
        path: str,
        roll: RollPolicy | None = None,
        *,
        does_sync: bool = False,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._path = path
        self._roll = roll or RollPolicy()
        self._does_sync = does_sync
        self._now = now
        self._fd = -1
        self._born = 0.0
        self._is_ours = False
        self._is_named = True  # on disk; a file that we have just opened may be a new one

    def open(self) -> None:
        """Open the file, or make it, and mend a torn last line.

        Raises:
            ConfigError: the path leads to a directory.
            RetriableError: it cannot be opened now.
        """
        with self._errors(), self._locked():
            pass

    def append(self, lines: bytes) -> None:
        """Append bytes that end in a line end, rolling first when it is time.

        Raises:
            RetriableError: nothing of it is in the file, and the same call may work later.
        """
        with self._errors(), self._locked() as size:
            is_full = size > 0 and self._is_full(size, len(lines))
            self._write(lines, self._roll_over() if is_full else size)

    def roll_if_due(self) -> None:
        """Roll a file that is old enough although nothing is written."""
        if self._roll.seconds is None or self._age() < self._roll.seconds:
            return
        with self._errors(), self._locked() as size:
            if size and self._is_full(size, 0):
                self._roll_over()

    def sync(self) -> None:
        """Wait until everything is on disk, when that is asked for."""
        if self._does_sync and self._fd >= 0:
            self._sync_file()
            if not self._is_named:
                self._sync_directory()
                self._is_named = True

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    # ---- the lock ----------------------------------------------------------------------------

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Hold the path's file, its last line whole; gives its size."""
        try:
            yield self._acquire()
        finally:
            if self._fd >= 0:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _acquire(self) -> int:
        for _ in range(10):
            is_new = self._fd < 0
            if is_new:
                self._fd = self._open_path()
            self._lock()
            size = self._current_size()
            if size is not None:
                size = self._mend(size)
                if is_new:
                    self._adopt()
                return size
            # rolled, moved or removed: another file is meant by now
            if self._does_sync:
                self._sync_file()
            self.close()
        raise RetriableError(f"file {self._path} is replaced all the time")

    def _lock(self) -> None:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise RetriableError(
                        f"file {self._path} is locked by another process"
                    ) from None
                select.select((), (), (), 0.005)
            except OSError as error:
                if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):
                    raise
                return  # a file system without locks
            else:
                return

    def _open_path(self) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        fd = os.open(self._path, flags, 0o666)
        self._is_ours, self._is_named = False, False
        return fd

    def _current_size(self) -> int | None:
        """The size of the open file, None when the path no longer leads to it."""
        status = os.fstat(self._fd)
        try:
            meant = os.stat(self._path)
        except FileNotFoundError:
            return None
        is_same = (meant.st_dev, meant.st_ino) == (status.st_dev, status.st_ino)
        return status.st_size if is_same else None

    # ---- whole lines -------------------------------------------------------------------------

    def _mend(self, size: int) -> int:
        """See to it that the last line has an end; gives the size then.

        A torn line in a file of ours is half of a line that will be brought again: it is cut off.
        In a file that we did not make it is somebody's last line: it gets its line end.
        """
        if not size or os.pread(self._fd, 1, size - 1) == b"\n":
            return size
        if self._is_ours or self._mark() is not None:
            whole = self._end_of_last_line(size)
            log.warning("file %s: cut off %d bytes of a torn line", self._path, size - whole)
            os.ftruncate(self._fd, whole)
            return whole
        os.write(self._fd, b"\n")
        return size + 1

    def _end_of_last_line(self, size: int) -> int:
        while size:
            start = max(size - TAIL, 0)
            found = os.pread(self._fd, size - start, start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            size = start
        return 0

    def _mark(self) -> float | None:
        """When this file became ours, in seconds since the epoch."""
        try:
            return int(os.getxattr(self._fd, MARK)) / 1000
        except (OSError, ValueError):  # not marked, or a file system that cannot
            return None

    def _adopt(self) -> None:
        """From here on every whole line is followed by whole lines only."""
        born = self._mark()
        if born is None:
            born = self._now().timestamp()
            with suppress(OSError):
                os.setxattr(self._fd, MARK, b"%d" % (born * 1000))
        self._born, self._is_ours = born, True

    def _write(self, lines: bytes, size: int) -> None:
        """One system call, unless the disk takes less at a time."""
        left = memoryview(lines)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError:
            with suppress(OSError):  # else the torn line is cut off next time
                os.ftruncate(self._fd, size)
            raise

    # ---- rolling -----------------------------------------------------------------------------

    def _age(self) -> float:
        return self._now().timestamp() - self._born

    def _is_full(self, size: int, more: int) -> bool:
        roll = self._roll
        if roll.bytes is not None and size + more > roll.bytes:
            return True
        return roll.seconds is not None and self._age() >= roll.seconds

    def _roll_over(self) -> int:
        """Rename the file, atomically and over no other, and begin a new one; gives its size."""
        stamp = f"{self._now():%Y%m%dT%H%M%SZ}"
        names = (f"{self._path}.{stamp}-{n:03}" for n in range(1, 1000))
        target = next((name for name in names if not os.path.lexists(name)), None)
        if target is None:
            raise RetriableError(f"file {self._path} rolls more often than it can be named")
        if self._does_sync:
            self._sync_file()
        os.rename(self._path, target)
        if self._does_sync:
            self._sync_directory()
        log.info("file %s was rolled to %s", self._path, target)
        self.close()
        return self._acquire()

    def _sync_file(self) -> None:
        """Bring the file to disk.

        Raises:
            ConnectError: it may not be there; a second attempt would only seem to work, because
                the system forgets what it could not write.
        """
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise self._not_on_disk(error) from error

    def _sync_directory(self) -> None:
        """Bring the names of its files to disk, where the file system can.

        Raises:
            ConnectError: they may not be there.
        """
        try:
            fd = os.open(os.path.dirname(self._path) or ".", os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise self._not_on_disk(error) from error

    def _not_on_disk(self, error: OSError) -> ConnectError:
        return ConnectError(
            f"file {self._path} could not be brought to disk ({error.strerror}); "
            "what was written since the last commit is written again"
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Say what went wrong in words that name the file."""
        try:
            yield
        except IsADirectoryError:
            raise ConfigError(
                {"file": f"Invalid value {self._path} for configuration file: it is a directory"}
            ) from None
        except OSError as error:
            raise RetriableError(
                f"file {self._path} cannot be written: {error.strerror}"
            ) from error
