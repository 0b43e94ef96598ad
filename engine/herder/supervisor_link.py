"""A herder's line to its supervisor: messages in batches, a queue for what cannot be sent yet."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from engine.wire.channel import Channel, UnsendableError, close_all
from engine.wire.herder_message import SupervisorToHerder
from engine.wire.log_sequence import get_logger
from engine.wire.outbox import Outbox

Received = tuple[SupervisorToHerder, list[int]]
"""A message and its descriptors, which belong to whoever takes it."""

_BATCH: Final = 256


class SupervisorLink:
    """Non-blocking; lives in one asyncio loop.

    Args:
        channel: a channel whose socket the link owns from now on.
        on_messages: gets what has come, in order.
        on_end: called once when the supervisor is gone.
    """

    def __init__(
        self,
        channel: Channel[SupervisorToHerder],
        on_messages: Callable[[Sequence[Received]], None],
        on_end: Callable[[], None],
    ) -> None:
        self._channel = channel
        self._on_messages = on_messages
        self._on_end = on_end
        self._outbox = Outbox(channel, self._lost, self._broken)
        self._is_open = True
        channel.sock.settimeout(0.0)
        asyncio.get_running_loop().add_reader(channel.fileno(), self._read)

    def send(self, message: msgspec.Struct, descriptors: Sequence[int] = ()) -> None:
        """Send now or when the supervisor reads again, in order; the descriptors are given away."""
        if self._is_open:
            self._outbox.send(message, descriptors)
        else:
            close_all(descriptors)

    def _lost(self, error: UnsendableError) -> None:
        get_logger(__name__).error("message not sent", error=str(error))

    def _broken(self) -> None:
        self.close()
        self._on_end()

    def _read(self) -> None:
        received: list[Received] = []
        is_over = False
        while len(received) < _BATCH:
            try:
                item = self._channel.receive()
            except BlockingIOError:
                break
            except msgspec.MsgspecError as error:
                get_logger(__name__).error("unreadable message from the supervisor", error=error)
                continue
            except OSError:
                item = None
            if item is None:
                is_over = True
                break
            received.append(item)
        if received and not self._is_taken(received):
            is_over = True
        if is_over and self._is_open:
            self._broken()

    def _is_taken(self, received: Sequence[Received]) -> bool:
        """False after a failure: what came behind is lost to us, but a new herder is told all."""
        try:
            self._on_messages(received)
        except Exception:  # noqa: BLE001 (whatever it is, the rest of the batch is gone)
            get_logger(__name__).exception("a message cannot be taken; the herder ends")
            return False
        return True

    def close(self) -> None:
        """Close the socket and every descriptor that still waits."""
        if not self._is_open:
            return
        self._is_open = False
        asyncio.get_running_loop().remove_reader(self._channel.fileno())
        self._outbox.close()
        self._channel.close()
