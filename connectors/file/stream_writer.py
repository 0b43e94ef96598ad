"""Lines into standard output, a pipe or a device: nothing to roll or to take back.

Others may write there, the service's log among them. What a pipe takes at once (``PIPE_BUF``) is
whole lines, a longer line is written under ``flock``: no line ends up inside another one.
"""

import contextlib
import fcntl
import os
import select
import stat
import time

from engine.api import ConnectError, RetriableError

PATIENCE = 0.5
"""Seconds that one call may take; whoever reads more slowly is waited for outside of it."""

_AGAIN = 0.005


class StreamWriter:
    """Writes lines to a descriptor that is not waited for, and owns it."""

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self._name = name
        is_file = stat.S_ISREG(os.fstat(fd).st_mode)
        self._piece = 1 << 30 if is_file else select.PIPE_BUF
        self._poll = select.poll()
        if not is_file:
            self._poll.register(fd, select.POLLOUT)
        self._is_file = is_file
        self._lines = b""
        self._out = 0

    def append(self, lines: bytes) -> None:
        """Write lines; the same ones are gone on with where the last attempt ended.

        Raises:
            RetriableError: something of it has not gone out, and may later.
            ConnectError: nobody will read it.
        """
        if lines != self._lines:
            self._end_line()
            self._lines, self._out = lines, 0
        self._go_on()

    def roll_if_due(self) -> None:
        """Never; but a line that was begun and is not wanted any more is ended."""
        with contextlib.suppress(RetriableError):
            self._end_line()

    def sync(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Close it."""
        os.close(self._fd)

    def _end_line(self) -> None:
        """Leave nothing of earlier lines but whole ones."""
        if self._is_within_line():
            self._lines = self._lines[: self._lines.index(b"\n", self._out) + 1]
            self._go_on()
        self._lines, self._out = b"", 0

    def _is_within_line(self) -> bool:
        return self._out > 0 and self._lines[self._out - 1] != 10

    def _go_on(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while self._out < len(self._lines):
            if not self._is_writable(deadline):
                raise RetriableError(
                    f"{self._name} is read slowly or not at all", retry_after=_AGAIN
                )
            with contextlib.suppress(BlockingIOError):
                self._write()
        self._lines, self._out = b"", 0

    def _is_writable(self, deadline: float) -> bool:
        """Wait until something can be written and nobody else is within a line."""
        if self._is_file:
            return True
        while (left := deadline - time.monotonic()) > 0:
            if not self._poll.poll(left * 1000):
                return False
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                select.select((), (), (), min(_AGAIN, left))
            except OSError:
                return True  # what cannot be locked is written without
            else:
                return True
        return False

    def _write(self) -> None:
        """One system call; the lock stays while a line is half out."""
        try:
            self._out += os.write(self._fd, memoryview(self._lines)[self._out : self._end()])
        except BrokenPipeError:
            raise ConnectError(f"nobody reads {self._name} any more") from None
        finally:
            if not self._is_within_line():
                with contextlib.suppress(OSError):
                    fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _end(self) -> int:
        """Where the next piece ends: behind a line, if one ends within what is taken at once."""
        most = self._out + self._piece
        return self._lines.rfind(b"\n", self._out, most) + 1 or most
