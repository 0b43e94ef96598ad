"""Ends of processes: noticed through pidfds, reaped in one place, orphans included."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable

import msgspec

from engine.model.exit_status import ExitStatus

OnExit = Callable[[ExitStatus], None]


class _Watched(msgspec.Struct):
    pidfd: int
    on_exit: OnExit
    kills_group: bool


class Reaper:
    """Every child of the supervisor is reaped here, whichever way its end is noticed first.

    A child that nobody watches is an orphan that was re-parented to us. It is reaped too, but never
    while a fork is under way: the unknown child might be the one whose announcement is still in the
    zygote's socket, and an unreaped process keeps its pid from being used again.
    """

    def __init__(self) -> None:
        self._watched: dict[int, _Watched] = {}
        self._pending_forks = 0
        self._on_orphan: Callable[[int], None] = lambda _pid: None

    def start(self, on_orphan: Callable[[int], None]) -> None:
        """Begin; ``on_orphan`` is told of each unknown child that ended."""
        self._on_orphan = on_orphan
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # an inherited SIG_IGN would lose statuses
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self.reap)

    def watch(self, pid: int, on_exit: OnExit, *, kills_group: bool = False) -> int:
        """Call back once when this child ends; whoever watched it before is not called any more.

        Args:
            kills_group: SIGKILL what is left of the child's process group before it is reaped,
                while its pid cannot yet name anything else.

        Returns:
            A pidfd for signals; the reaper closes it.
        """
        pidfd = os.pidfd_open(pid)
        before = self._watched.pop(pid, None)
        if before is not None:
            self._let_go(before)
        self._watched[pid] = _Watched(pidfd, on_exit, kills_group)
        asyncio.get_running_loop().add_reader(pidfd, self._ended, pid)
        return pidfd

    def is_watched(self, pid: int) -> bool:
        """Whether this is a child that somebody made on purpose."""
        return pid in self._watched

    def fork_begins(self) -> None:
        """A child is being made whose pid is not known yet."""
        self._pending_forks += 1

    def fork_ends(self) -> None:
        """Its pid is known, or it will not come."""
        self._pending_forks -= 1
        if not self._pending_forks:
            self.reap()

    def reap(self) -> None:
        """Reap every child that has ended."""
        while (pid := _next_zombie()) is not None:
            if pid in self._watched:
                self._ended(pid)
            elif self._pending_forks:
                return
            else:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
                self._on_orphan(pid)

    def _ended(self, pid: int) -> None:
        watched = self._watched.get(pid)
        if watched is None:
            return
        if watched.kills_group:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        try:
            result = os.waitid(os.P_PIDFD, watched.pidfd, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return  # not ours yet: the process between us and it has not ended
        if result is None:
            return
        del self._watched[pid]
        self._let_go(watched)
        watched.on_exit(_status(result))

    @staticmethod
    def _let_go(watched: _Watched) -> None:
        asyncio.get_running_loop().remove_reader(watched.pidfd)
        os.close(watched.pidfd)


def _next_zombie() -> int | None:
    try:
        result = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return result.si_pid if result else None


def _status(result: "os.waitid_result") -> ExitStatus:
    if result.si_code == os.CLD_EXITED:
        return ExitStatus(code=result.si_status)
    return ExitStatus(signal=result.si_status, core=result.si_code == os.CLD_DUMPED)
