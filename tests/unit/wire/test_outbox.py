"""What waits for a reader, in order, and what becomes of it when nobody will hear it."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from engine.wire.channel import MAX_MESSAGE_BYTES, Channel
from engine.wire.herder_message import Ack, Drop, HerderToSupervisor
from engine.wire.outbox import Outbox


class Ends:
    """An outbox, the other side, and what the outbox told of itself."""

    def __init__(self) -> None:
        ours, theirs = Channel.pair()
        ours.setblocking(False)
        theirs.setblocking(False)
        self.channel: Channel[Any] = Channel(ours, HerderToSupervisor)
        self.other: Channel[HerderToSupervisor] = Channel(theirs, HerderToSupervisor)
        self.lost: list[str] = []
        self.broken = 0
        self.outbox = Outbox(self.channel, lambda error: self.lost.append(str(error)), self._break)

    def _break(self) -> None:
        self.broken += 1

    def heard(self) -> list[HerderToSupervisor]:
        """Everything that the other side finds now."""
        found: list[HerderToSupervisor] = []
        while True:
            try:
                received = self.other.receive()
            except BlockingIOError:
                return found
            assert received is not None
            for fd in received[1]:
                os.close(fd)
            found.append(received[0])


def play(body: Callable[[Ends], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        ends = Ends()
        try:
            await body(ends)
        finally:
            ends.outbox.close()
            ends.channel.close()
            ends.other.close()

    asyncio.run(main())


def test_what_is_not_read_waits_and_comes_in_order() -> None:
    async def body(ends: Ends) -> None:
        count = 5000
        for number in range(count):
            ends.outbox.send(Ack(number))
        assert 0 < len(ends.outbox) < count
        heard = ends.heard()
        while len(heard) < count:
            await asyncio.sleep(0)
            heard += ends.heard()
        assert heard == [Ack(number) for number in range(count)]
        assert len(ends.outbox) == 0

    play(body)


@pytest.mark.parametrize("is_full", [False, True])
def test_a_message_that_can_never_be_sent_is_told_and_keeps_none_behind_it(is_full: bool) -> None:
    async def body(ends: Ends) -> None:
        while is_full and not len(ends.outbox):
            ends.outbox.send(Ack(0))
        ends.outbox.send(Drop("x" * MAX_MESSAGE_BYTES, 0))
        ends.outbox.send(Ack(1))
        heard = ends.heard()
        while heard[-1:] != [Ack(1)]:
            await asyncio.sleep(0)
            heard += ends.heard()
        assert [text.partition(" ")[0] for text in ends.lost] == ["Drop"]

    play(body)


def test_descriptors_are_given_away_with_what_was_sent_and_with_what_never_will_be() -> None:
    async def body(ends: Ends) -> None:
        before = len(os.listdir("/proc/self/fd"))
        ends.outbox.send(Ack(0), [os.open(os.devnull, os.O_RDONLY)])
        ends.heard()
        while not len(ends.outbox):
            ends.outbox.send(Ack(0))
        ends.outbox.send(Ack(1), [os.open(os.devnull, os.O_RDONLY)])
        assert len(os.listdir("/proc/self/fd")) == before + 1
        ends.outbox.close()
        assert len(os.listdir("/proc/self/fd")) == before

    play(body)


def test_the_end_of_the_other_side_is_told_once_and_what_is_said_later_waits() -> None:
    async def body(ends: Ends) -> None:
        ends.other.close()
        ends.outbox.send(Ack(0))
        ends.outbox.send(Ack(1))
        assert (ends.broken, len(ends.outbox)) == (1, 2)

    play(body)
