"""No task ever has two live processes: each holds the lock of its task for as long as it lives."""

import contextlib
import fcntl
import os
import signal
import time
from pathlib import Path
from typing import Final

from engine.api.errors import RetriableError
from engine.model.task_id import TaskId

_RETRY: Final = 0.02


class TaskLock:
    """An flock that the process holds until its end; the kernel gives it back, however it ends."""

    def __init__(self, data_dir: Path | str, task: TaskId) -> None:
        self._path = f"{data_dir}/tasks/{task.file_stem}.lock"

    def acquire(self, patience: float) -> None:
        """Take the lock, wait for a predecessor that is still ending, and end it if it does not.

        Raises:
            RetriableError: it lives even so.
        """
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        if not _wait_for(fd, patience):
            self._kill_holder(fd)
            if not _wait_for(fd, 1.0):
                raise RetriableError(f"another process holds {self._path}")
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)

    def _kill_holder(self, fd: int) -> None:
        """SIGKILL whoever wrote its pid into the file, if it really has the file open."""
        with contextlib.suppress(OSError, ValueError):
            pid = int(os.pread(fd, 32, 0))
            pidfd = os.pidfd_open(pid)
            try:
                if _has_open(pid, os.fstat(fd)):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            finally:
                os.close(pidfd)


def _wait_for(fd: int, patience: float) -> bool:
    """Polled, for a blocking flock would neither end in time nor let signals through."""
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            signal.sigtimedwait((), _RETRY)
        else:
            return True


def _has_open(pid: int, file: os.stat_result) -> bool:
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found = os.stat(f"/proc/{pid}/fd/{name}")
            if (found.st_dev, found.st_ino) == (file.st_dev, file.st_ino):
                return True
    return False
