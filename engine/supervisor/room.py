"""Room for new tasks: descriptors that the kernel still gives us."""

import contextlib
import fcntl
import os
import resource
from collections.abc import Iterator
from typing import Final

from engine.model.task_id import TaskId
from engine.supervisor.log import Log

NEEDED: Final = 16
"""Of a new task while it is made; what it keeps is half of that."""

_RESERVED: Final = 4
"""For what comes with a message: the kernel drops descriptors that find no room, and says so to
nobody who could ask for them again."""


class Room:
    """Knows whether another task finds room, and which ones did not.

    Args:
        log: is told when the first one has to wait.
        fd: any descriptor of ours that stays open.
    """

    def __init__(self, log: Log, fd: int) -> None:
        self._log = log
        self._fd = fd
        self._reserve: list[int] = []
        self._waiting: set[TaskId] = set()
        self._keep_reserve()

    @contextlib.contextmanager
    def reserve_used(self) -> Iterator[None]:
        """Descriptors that are received in here find a place."""
        self.close()
        try:
            yield
        finally:
            self._keep_reserve()

    def close(self) -> None:
        """Give back what is reserved."""
        while self._reserve:
            os.close(self._reserve.pop())

    def _keep_reserve(self) -> None:
        with contextlib.suppress(OSError):
            while len(self._reserve) < _RESERVED:
                self._reserve.append(fcntl.fcntl(self._fd, fcntl.F_DUPFD_CLOEXEC, 0))

    @property
    def waiting(self) -> frozenset[TaskId]:
        """Who waits."""
        return frozenset(self._waiting)

    def is_left(self) -> bool:
        """Whether a new task finds what it needs."""
        taken: list[int] = []
        try:
            while len(taken) < NEEDED:
                taken.append(fcntl.fcntl(self._fd, fcntl.F_DUPFD_CLOEXEC, 0))
        except OSError:
            return False
        finally:
            for fd in taken:
                os.close(fd)
        return True

    def refuse(self, task: TaskId) -> None:
        """This one has to wait."""
        if not self._waiting:
            self._log.error("tasks wait: no descriptors are left", limit=_limit())
        self._waiting.add(task)

    def forget(self, task: TaskId) -> None:
        """Nobody wants it any more."""
        self._waiting.discard(task)

    def forget_all(self) -> None:
        """Whoever wants tasks is about to tell all of them."""
        self._waiting.clear()

    def take_waiting(self) -> list[TaskId]:
        """Those that can be tried again, if there is room now."""
        if not self._waiting or not self.is_left():
            return []
        waiting = sorted(self._waiting)
        self._waiting.clear()
        return waiting

    def problem(self) -> str | None:
        """A sentence for whoever looks after the service; None while nobody waits."""
        if not self._waiting:
            return None
        return (
            f"{len(self._waiting)} tasks wait: the supervisor may open {_limit()} files and no more"
            " (LimitNOFILE= of the unit, ulimit -n)"
        )


def _limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
