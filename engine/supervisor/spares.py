"""Processes that are ready before a task needs one, see :mod:`engine.task.spare`."""

import asyncio
import collections
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from typing import Final

from engine.supervisor.child import signal_group
from engine.supervisor.fork_request import ForkRequest
from engine.supervisor.reaper import Reaper
from engine.wire.channel import Channel
from engine.wire.zygote_message import Fork

_TOKEN: Final = 0
"""Names the request for a spare; there is one at a time."""

_FIRST_AFTER: Final = 1.0
"""Seconds from the zygote's start: the first tasks have their processes by then."""

_NEXT_AFTER: Final = 0.02
"""Seconds from the use of a spare: the task that got it has started by then."""

_AGAIN_AFTER: Final = 1.0
"""Seconds from a failure."""


class Spares:
    """The spare processes of a zygote, oldest first; one that is used or ends is replaced.

    Args:
        reaper: watches them until they are handed over.
        wanted: how many there are to be.
        output_fd: what they print into before they have a task's log.
        submit: asks the zygote; False when it is not ready, or others are waiting for it.
    """

    def __init__(
        self, reaper: Reaper, wanted: int, output_fd: int, submit: Callable[[ForkRequest], bool]
    ) -> None:
        self._reaper = reaper
        self._wanted = wanted
        self._output_fd = output_fd
        self._submit = submit
        self._ready: collections.deque[tuple[int, socket.socket]] = collections.deque()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closing = False

    def __len__(self) -> int:
        return len(self._ready)

    def zygote_started(self) -> None:
        """Fill up when the first tasks are on their way."""
        self._make_later(_FIRST_AFTER)

    def take(self, request: ForkRequest) -> bool:
        """Have a spare do this; False when there is none.

        The spare is still ours to watch when ``on_forked`` is called: who gets the pid watches it
        from there on.
        """
        while self._ready:
            pid, sock = self._ready.popleft()
            self._make_later(_NEXT_AFTER)
            channel: Channel[Fork] = Channel(sock, Fork)
            try:
                channel.send(request.fork, request.descriptors())
            except OSError:  # it has just ended
                continue
            finally:
                channel.close()
            request.on_forked(pid)
            return True
        return False

    def _make_later(self, seconds: float) -> None:
        if self._timer is None and len(self._ready) < self._wanted and not self._is_closing:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._make)

    def _make(self) -> None:
        self._timer = None
        if self._is_closing or len(self._ready) >= self._wanted:
            return
        try:
            ours, theirs = Channel.pair()
        except OSError:  # no descriptors are left; tasks go before spares
            self._make_later(_AGAIN_AFTER)
            return
        request = ForkRequest(
            Fork(_TOKEN, "spare", "spare", os.getpid()),
            lambda: (theirs.fileno(), self._output_fd),
            lambda pid: self._made(pid, ours, theirs),
            lambda _reason: self._not_made(ours, theirs, _AGAIN_AFTER),
        )
        if not self._submit(request):
            self._not_made(ours, theirs, _NEXT_AFTER)

    def _made(self, pid: int, ours: socket.socket, theirs: socket.socket) -> None:
        spare = (pid, ours)
        try:
            self._reaper.watch(pid, lambda _status: self._ended(spare), kills_group=True)
        except OSError:  # what cannot be watched must not live
            os.kill(pid, signal.SIGKILL)
            self._not_made(ours, theirs, _AGAIN_AFTER)
            return
        theirs.close()
        self._ready.append(spare)
        self._make_later(0)

    def _not_made(self, ours: socket.socket, theirs: socket.socket, again: float) -> None:
        ours.close()
        theirs.close()
        self._make_later(again)

    def _ended(self, spare: tuple[int, socket.socket]) -> None:
        with contextlib.suppress(ValueError):
            self._ready.remove(spare)
            spare[1].close()
            self._make_later(_AGAIN_AFTER)

    def close(self) -> None:
        """End them all; they are gone when :func:`len` says so."""
        self._is_closing = True
        if self._timer is not None:
            self._timer.cancel()
        for pid, _ in self._ready:
            signal_group(pid, signal.SIGKILL)
