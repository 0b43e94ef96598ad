"""A network between two peers that keeps every message until the test lets it through."""

import collections
import contextlib
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.wire.channel import MAX_MESSAGE_BYTES


@dataclass(eq=False)
class Link:
    """What two peers say to each other, on its way.

    Attributes:
        up: to the supervisor; data and descriptors, the oldest first.
        down: from it.
    """

    inner: socket.socket
    outer: socket.socket
    up: collections.deque[tuple[bytes, list[int]]] = field(default_factory=collections.deque)
    down: collections.deque[tuple[bytes, list[int]]] = field(default_factory=collections.deque)

    def pump(self) -> None:
        """Take up what was said."""
        for sock, queue in ((self.inner, self.up), (self.outer, self.down)):
            while True:
                try:
                    data, fds, _, _ = socket.recv_fds(sock, MAX_MESSAGE_BYTES, 8)
                except OSError:
                    break
                if not data:
                    if sock is self.outer:  # the supervisor is done with this peer
                        self.inner.shutdown(socket.SHUT_WR)
                    break
                queue.append((data, fds))

    def deliver(self, direction: str, *, again: bool = False) -> None:
        """Let the oldest one through; it may come once more later."""
        queue, sock = (self.up, self.outer) if direction == "up" else (self.down, self.inner)
        data, fds = queue[0] if again else queue.popleft()
        with contextlib.suppress(OSError):  # nobody listens any more
            socket.send_fds(sock, [data], fds)
        if not again:
            close_all(fds)

    def lose(self, direction: str) -> None:
        """The oldest one never arrives."""
        close_all((self.up if direction == "up" else self.down).popleft()[1])

    def close(self) -> None:
        """The peer is gone, with all that was under way."""
        for _, fds in (*self.up, *self.down):
            close_all(fds)
        self.up.clear()
        self.down.clear()
        self.inner.close()
        self.outer.close()


def close_all(descriptors: Sequence[int]) -> None:
    """Close them, if they are open."""
    for fd in descriptors:
        with contextlib.suppress(OSError):
            os.close(fd)
