"""The line between a herder and its supervisor, over real sockets."""

import asyncio
import gc
import os
from collections.abc import Sequence

from engine.herder.supervisor_link import Received, SupervisorLink
from engine.wire.channel import Channel
from engine.wire.herder_message import (
    Ack,
    Drop,
    HerderReady,
    HerderToSupervisor,
    SupervisorToHerder,
    TaskSnapshot,
    Welcome,
)
from tests.unit.herder.fake_supervisor import wait_until


def open_descriptors() -> int:
    """How many there are, without those of garbage that earlier tests left."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


class Ends:
    """A link, what it received, and the socket of the other side."""

    def __init__(self) -> None:
        ours, theirs = Channel.pair()
        theirs.settimeout(0.0)
        self.received: list[Received] = []
        self.ended = 0
        self.fails = False
        self.other: Channel[HerderToSupervisor] = Channel(theirs, HerderToSupervisor)
        channel: Channel[SupervisorToHerder] = Channel(ours, SupervisorToHerder)
        self.link = SupervisorLink(channel, self._take, self._end)

    def _take(self, received: Sequence[Received]) -> None:
        if self.fails:
            raise KeyError("a bug")
        self.received += received

    def _end(self) -> None:
        self.ended += 1

    def read(self) -> list[HerderToSupervisor]:
        """Everything that the other side finds now."""
        found: list[HerderToSupervisor] = []
        while True:
            try:
                item = self.other.receive()
            except BlockingIOError:
                return found
            assert item is not None
            for fd in item[1]:
                os.close(fd)
            found.append(item[0])

    def close(self) -> None:
        self.link.close()
        self.other.close()


def test_messages_that_nobody_reads_wait_and_arrive_in_order_with_their_descriptors() -> None:
    async def scenario() -> None:
        ends = Ends()
        sent = [Drop("c" * 1000, n) for n in range(2000)]
        before = open_descriptors()
        for message in sent:
            ends.link.send(message, [os.memfd_create("x")])
        got: list[HerderToSupervisor] = []

        def has_all() -> bool:
            got.extend(ends.read())
            return len(got) == len(sent)

        await wait_until(has_all)
        assert got == sent
        assert open_descriptors() == before
        ends.close()

    asyncio.run(scenario())


def test_a_message_that_is_too_long_stops_no_other() -> None:
    async def scenario() -> None:
        ends = Ends()
        ends.link.send(Drop("c" * 1_000_000, 0))
        ends.link.send(Ack(1))
        assert ends.read() == [Ack(1)]
        ends.close()

    asyncio.run(scenario())


def test_an_unreadable_message_stops_no_other() -> None:
    async def scenario() -> None:
        ends = Ends()
        ends.other.sock.send(b"\x93nonsense")
        ends.other.send(Welcome(1, 2))
        await wait_until(lambda: bool(ends.received))
        assert ends.received == [(Welcome(1, 2), [])]
        ends.close()

    asyncio.run(scenario())


def test_the_end_of_the_supervisor_is_told_once_and_closes_what_waits() -> None:
    async def scenario() -> None:
        ends = Ends()
        before = open_descriptors()
        for _ in range(2000):
            ends.link.send(Drop("c" * 1000, 0), [os.memfd_create("x")])
        ends.other.close()
        await wait_until(lambda: ends.ended == 1)
        ends.link.send(HerderReady(), [os.memfd_create("x")])
        assert open_descriptors() == before - 2
        ends.link.close()
        assert ends.ended == 1

    asyncio.run(scenario())


def test_a_whole_flood_is_read_in_order() -> None:
    async def scenario() -> None:
        ends = Ends()
        ends.other.sock.setblocking(True)
        loop = asyncio.get_running_loop()

        def flood() -> None:
            for n in range(3000):
                ends.other.send(Welcome(n, 0))

        await loop.run_in_executor(None, flood)
        await wait_until(lambda: len(ends.received) == 3000)
        assert [m.supervisor_pid for m, _ in ends.received if isinstance(m, Welcome)] == [
            *range(3000)
        ]
        assert not any(isinstance(m, TaskSnapshot) for m, _ in ends.received)
        ends.close()

    asyncio.run(scenario())


def test_a_herder_that_cannot_take_a_message_ends_rather_than_lose_others() -> None:
    async def run() -> None:
        ends = Ends()

        ends.fails = True
        ends.other.send(Welcome(1, 1))
        await wait_until(lambda: ends.ended == 1)
        assert ends.other.receive() is None
        ends.close()

    asyncio.run(run())
