"""Follows one path for ever: through growth, truncation, rotation, removal and its coming back.

A file is known by its inode, so that it is read to its end under whatever name it has by now.
"""

import logging
import os
import re
import stat
import time
from collections.abc import Callable, Mapping

from connectors.file.line_reader import ReadSettings
from connectors.file.line_splitter import LineSplitter
from connectors.file.open_file import OpenFile
from engine.api import ConfigError

log = logging.getLogger(__name__)

ROTATION_QUIET = 5.0
"""Seconds without a byte after which a rotated file is over although its successor is empty."""


class FileFollower:
    """Gives the lines of a path.

    Attributes:
        condition: what it waits for, in words; None while all is well.
    """

    def __init__(
        self,
        path: str,
        settings: ReadSettings,
        offset: Mapping[str, int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.condition: str | None = None
        self._path = path
        self._settings = settings
        self._clock = clock
        self._position: int = offset.get("position", 0)
        self._inode: int | None = offset.get("inode")
        self._splitter = LineSplitter(self._position, longest=settings.longest)
        self._file: OpenFile | None = None
        self._is_finished = False
        self._quiet_since: float | None = None

    @property
    def offset(self) -> Mapping[str, int]:
        """Where to go on after the lines taken."""
        if self._file is None:
            return {"position": self._splitter.position}
        return {"position": self._splitter.position, "inode": self._file.inode}

    @property
    def lag(self) -> int:
        """Bytes not read yet or held back; of a compressed file the compressed ones."""
        return self._splitter.held + (0 if self._file is None else self._file.unread)

    def take(self, most: int | None) -> list[bytes]:
        """The next lines."""
        return self._splitter.take(most)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def step(self) -> bool:
        """Open, read or look around once; False when there is nothing to do now."""
        if self._is_finished:
            self._leave()
        if self._file is None:
            return self._open()
        if not self._file.look():
            log.warning("file %s was truncated, reading it from its start", self._path)
            self._start_over(self._file)
        return self._read(self._file) or self._at_end(self._file)

    def _read(self, file: OpenFile) -> bool:
        chunk = file.read()
        if chunk is None:
            return False
        self._quiet_since = None
        self._splitter.feed(chunk)
        return True

    def _start_over(self, file: OpenFile) -> None:
        file.start_at(0)
        self._splitter = LineSplitter(longest=self._settings.longest)

    # ---- at the end of what is there ---------------------------------------------------------

    def _at_end(self, file: OpenFile) -> bool:
        now = self._clock()
        if self._quiet_since is None:
            self._quiet_since = now
        if file.is_behind:
            log.warning("file %s is shorter than it was, reading it from its start", self._path)
            self._start_over(file)
            return True
        if self._is_rotated(file, now - self._quiet_since):
            if not self._read(file):  # what was written before the new file was seen is there now
                self._splitter.finish()
                self._is_finished = True
            return True
        timeout = self._settings.last_line_timeout
        if timeout is not None and self._splitter.held and now - self._quiet_since >= timeout:
            self._splitter.finish()
            return True
        return False

    def _is_rotated(self, file: OpenFile, quiet: float) -> bool:
        """Whether the path leads to another file by now, and this one is over."""
        try:
            status = os.stat(self._path)
        except OSError as error:
            self.condition = self._why(error)
            return False
        self.condition = None
        if (status.st_dev, status.st_ino) == (file.device, file.inode):
            return False
        return status.st_size > 0 or quiet >= ROTATION_QUIET

    def _leave(self) -> None:
        """Close the finished file; the next is the one that was rotated after it, else the path."""
        assert self._file is not None
        after = self._file.modified_ns
        log.info("file %s was rotated, the old one is read to its end", self._path)
        self.close()
        self._is_finished = False
        self._position, self._inode = 0, self._rotated_after(after)
        self._quiet_since = None

    # ---- opening -----------------------------------------------------------------------------

    def _open(self) -> bool:
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            self.condition = self._why(error)
            return self._open_rotated()
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise ConfigError({"file": not_a_file(self._path)})
        if self._inode not in (None, status.st_ino):
            if self._open_rotated():
                os.close(fd)
                return True
            log.warning("file %s was replaced, reading the new one from its start", self._path)
            self._position = 0
        self._use(fd)
        self.condition = None
        return True

    def _open_rotated(self) -> bool:
        """Open the file that was read last, under the name it has by now, if it is still there."""
        for entry in () if self._inode is None else self._directory():
            if entry.inode() != self._inode:
                continue
            try:
                fd = os.open(entry.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except OSError:
                continue
            status = os.fstat(fd)
            if status.st_ino == self._inode and stat.S_ISREG(status.st_mode):
                log.info("file %s was rotated to %s, reading its rest", self._path, entry.path)
                self._use(fd, is_rotated=True)
                return True
            os.close(fd)
        return False

    def _use(self, fd: int, *, is_rotated: bool = False) -> None:
        """Read this file from the position at which it was left, if that can be."""
        gzip, most = self._settings.is_gzip, self._settings.read_bytes
        file = OpenFile(fd, self._position, most=most, is_gzip=gzip)
        self._splitter = LineSplitter(self._position, longest=self._settings.longest)
        if not gzip and not self._is_same(file, is_rotated=is_rotated):
            log.warning("file %s is not the one it was, reading it from its start", self._path)
            self._start_over(file)
        self._file = file
        self._quiet_since = None

    def _is_same(self, file: OpenFile, *, is_rotated: bool) -> bool:
        """Whether a plain file can be the one that was read up to the position.

        Ours stand behind a line end, unless a last line was given without one. A position without
        an inode was set by somebody, or written by Kafka's own connector, and is taken as it is.
        """
        if self._position > file.size:
            return False
        before = file.byte_before(self._position)
        if before in (b"", b"\n") or self._inode is None:
            return True
        if before == b"\r" or is_rotated or self._settings.last_line_timeout is not None:
            self._splitter.resume_after(before)
            return True
        return False

    # ---- rotated files -----------------------------------------------------------------------

    def _directory(self) -> list["os.DirEntry[str]"]:
        try:
            with os.scandir(os.path.dirname(self._path) or ".") as entries:
                return list(entries)
        except OSError:
            return []

    def _rotated_after(self, modified_ns: int) -> int | None:
        """The inode of the file rotated next after that time, when several were meanwhile."""
        name = re.compile(re.escape(os.path.basename(self._path)) + r"[.-]\d[\dTZ:_.-]*")
        found: list[tuple[int, int]] = []
        for entry in self._directory():
            if name.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                found.append((status.st_mtime_ns, status.st_ino))
        return min((f for f in found if f[0] > modified_ns), default=(0, None))[1]

    def _why(self, error: OSError) -> str:
        if isinstance(error, FileNotFoundError):
            return f"file {self._path} does not exist"
        return f"file {self._path} cannot be read: {error.strerror}"


def not_a_file(path: str) -> str:
    """The message for a path that leads to something else."""
    kind = "a directory" if os.path.isdir(path) else "not a regular file"
    return f"Invalid value {path} for configuration file: it is {kind}"
