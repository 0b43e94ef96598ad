"""Processes that are ready before a task needs one, see :mod:`engine.task.spare`."""

import collections
import contextlib
import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from engine.model.exit_status import ExitStatus
from engine.supervisor.child import signal_group
from engine.supervisor.reaper import Reaper
from engine.wire.channel import Channel
from engine.wire.message import Fork


@dataclass(slots=True, eq=False)
class _Spare:
    pid: int
    sock: socket.socket


class Spares:
    """The spare processes of a zygote, oldest first.

    Args:
        reaper: watches them until they are handed over.
        wanted: how many there are to be.
    """

    def __init__(self, reaper: Reaper, wanted: int) -> None:
        self._reaper = reaper
        self._wanted = wanted
        self._ready: collections.deque[_Spare] = collections.deque()

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def missing(self) -> int:
        """How many more there are to be."""
        return self._wanted - len(self._ready)

    def add(self, pid: int, sock: socket.socket) -> None:
        """A spare was made; the socket that brings its work is ours from now on.

        Raises:
            OSError: it cannot be watched, and is killed.
        """
        spare = _Spare(pid, sock)
        try:
            self._reaper.watch(pid, lambda status: self._ended(spare, status), kills_group=True)
        except OSError:
            sock.close()
            os.kill(pid, signal.SIGKILL)
            raise
        self._ready.append(spare)

    def give(self, fork: Fork, descriptors: Sequence[int]) -> int | None:
        """Have a spare do this; its pid, None when there is none.

        The reaper still watches it: whoever gets the pid has to watch it himself at once.
        """
        while self._ready:
            spare = self._ready.popleft()
            channel: Channel[Fork] = Channel(spare.sock, Fork)
            try:
                channel.send(fork, descriptors)
            except OSError:  # it has just ended
                continue
            finally:
                channel.close()
            return spare.pid
        return None

    def _ended(self, spare: _Spare, _status: ExitStatus) -> None:
        with contextlib.suppress(ValueError):
            self._ready.remove(spare)
            spare.sock.close()

    def kill(self) -> None:
        """End them all."""
        for spare in self._ready:
            signal_group(spare.pid, signal.SIGKILL)
