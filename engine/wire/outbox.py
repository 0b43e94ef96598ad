"""What is to be said over a channel whose other side may not read right now."""

import asyncio
import collections
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from engine.wire.channel import Channel, UnsendableError, close_all


class Outbox:
    """Sends at once or when the other side reads again, in order; lives in one asyncio loop.

    Args:
        channel: non-blocking; stays the caller's.
        on_lost: called for a message that can never be sent; those behind it go on.
        on_broken: called when the other side is gone.
    """

    def __init__(
        self,
        channel: "Channel[Any]",
        on_lost: Callable[[UnsendableError], None],
        on_broken: Callable[[], None],
    ) -> None:
        self._channel = channel
        self._on_lost = on_lost
        self._on_broken = on_broken
        self._waiting: collections.deque[tuple[msgspec.Struct, Sequence[int]]] = collections.deque()

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._waiting)

    def send(self, message: msgspec.Struct, descriptors: Sequence[int] = ()) -> None:
        """Say something; the descriptors are given away."""
        self._waiting.append((message, descriptors))
        if len(self._waiting) == 1:
            self._flush()

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            message, descriptors = self._waiting[0]
            try:
                self._channel.send(message, descriptors)
            except BlockingIOError:
                loop.add_writer(self._channel.fileno(), self._flush)
                return
            except UnsendableError as error:  # it would keep all that is behind it
                self._on_lost(error)
            except OSError:
                loop.remove_writer(self._channel.fileno())
                self._on_broken()
                return
            self._waiting.popleft()
            close_all(descriptors)
        loop.remove_writer(self._channel.fileno())

    def close(self) -> None:
        """Nobody will hear what waits; called before the channel is closed."""
        asyncio.get_running_loop().remove_writer(self._channel.fileno())
        while self._waiting:
            close_all(self._waiting.popleft()[1])
