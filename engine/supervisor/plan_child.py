"""Short-lived processes that run plugin code for the herder, each with a deadline."""

import asyncio
import os
import signal
from collections.abc import Callable, Sequence

from engine.model.exit_status import ExitStatus
from engine.supervisor.child import signal_group
from engine.supervisor.fork_request import ForkRequest
from engine.supervisor.log_pipe import LogPipe
from engine.supervisor.reaper import Reaper
from engine.supervisor.zygote import Zygote
from engine.wire.herder_message import Plan
from engine.wire.zygote_message import Fork


class PlanChild:
    """One such process, from the herder's wish to its end.

    Args:
        plan: what the herder asked for.
        descriptors: its end of the answer's socket, and the request; ours from now on.
        on_ended: called once with the problem, None when it exited with 0.
    """

    def __init__(
        self,
        plan: Plan,
        descriptors: Sequence[int],
        reaper: Reaper,
        on_ended: Callable[[int, str | None], None],
    ) -> None:
        self._plan = plan
        self._descriptors = list(descriptors)
        self._reaper = reaper
        self._on_ended = on_ended
        self._pid: int | None = None
        self._request: ForkRequest | None = None
        self._zygote: Zygote | None = None
        self._is_late = False
        self._deadline: asyncio.TimerHandle | None = None

    def start(self, zygote: Zygote, token: int, output: LogPipe) -> None:
        """Ask for the process; the deadline runs from here."""
        socket_fd, request_fd = self._descriptors
        given = (socket_fd, output.write_fd, request_fd)
        fork = Fork(token, "plan", self._plan.title, os.getpid())
        self._request = ForkRequest(fork, lambda: given, self._forked, self._failed)
        self._zygote = zygote
        self._deadline = asyncio.get_running_loop().call_later(self._plan.deadline, self._too_late)
        zygote.submit(self._request)

    def _forked(self, pid: int) -> None:
        self._pid = pid
        is_cancelled = self._request is not None and self._request.is_cancelled
        self._request = None
        self._close()
        self._reaper.watch(pid, self._exited, kills_group=True)
        if is_cancelled:
            self.kill()

    def _failed(self, reason: str) -> None:
        self._request = None
        self._close()
        self._end(self._lateness if self._is_late else reason)

    def _too_late(self) -> None:
        self._is_late = True
        self.kill()

    def _exited(self, status: ExitStatus) -> None:
        self._pid = None
        if self._is_late:
            self._end(self._lateness)
        else:
            self._end(None if status.code == 0 else str(status))

    @property
    def _lateness(self) -> str:
        return f"deadline of {self._plan.deadline:g} s exceeded"

    def _end(self, problem: str | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._on_ended(self._plan.token, problem)

    def _close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())

    def kill(self) -> None:
        """SIGKILL it and what it started; take the wish back when there is no process yet."""
        if self._request is not None and self._zygote is not None:
            self._zygote.cancel(self._request)
        if self._pid is not None:
            signal_group(self._pid, signal.SIGKILL)
            os.kill(self._pid, signal.SIGKILL)
