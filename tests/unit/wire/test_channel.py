"""Messages and descriptors over a SEQPACKET socket."""

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from engine.model.restart_policy import RestartPolicy
from engine.model.supervision import Supervision
from engine.wire.channel import MAX_MESSAGE_BYTES, Channel, UnsendableError
from engine.wire.herder_message import Ack, Desire, Drop, HerderToSupervisor, Reloaded, Remark
from engine.wire.task_message import Failing, Ready, TaskToSupervisor


@pytest.fixture
def ends() -> Iterator[tuple[Channel[TaskToSupervisor], Channel[HerderToSupervisor]]]:
    """One end hears tasks, the other hears a herder."""
    left, right = Channel.pair()
    with left, right:
        yield Channel(left, TaskToSupervisor), Channel(right, HerderToSupervisor)


Ends = tuple[Channel[TaskToSupervisor], Channel[HerderToSupervisor]]


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_a_message_arrives_as_it_was_sent(ends: Ends) -> None:
    left, right = ends
    desire = Desire(
        "orders", 3, "hash", paused=True, supervision=Supervision(RestartPolicy(delay=2.5))
    )
    left.send(desire)

    assert right.receive() == (desire, [])


def test_messages_keep_their_borders_and_their_order(ends: Ends) -> None:
    left, right = ends
    for number in range(20):
        left.send(Ack(number))

    assert [right.receive() for _ in range(20)] == [(Ack(number), []) for number in range(20)]


def test_descriptors_travel_in_order_and_are_not_inherited(ends: Ends) -> None:
    left, right = ends
    pipes = [os.pipe() for _ in range(4)]
    left.send(Drop("orders", 0), [write for _, write in pipes])
    received = right.receive()
    assert received is not None
    for (read, write), fd in zip(pipes, received[1], strict=True):
        os.close(write)
        assert not os.get_inheritable(fd)
        os.write(fd, b"here")
        os.close(fd)
        assert os.read(read, 9) == b"here"
        os.close(read)


def test_descriptors_stay_open_with_the_sender(ends: Ends) -> None:
    left, right = ends
    read, write = os.pipe()
    left.send(Ack(1), [write])
    received = right.receive()
    assert received is not None
    os.close(received[1][0])
    os.write(write, b"x")
    os.close(write)
    os.close(read)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff",
        b"nonsense",
        msgspec.msgpack.encode(["Unknown", 1]),
        msgspec.msgpack.encode(["Ack", "one"]),
        msgspec.msgpack.encode(["Ack"]),
        msgspec.msgpack.encode({"type": "Ack"}),
        b"\x93\xa4Drop\xa1\xff\x00",
        b"\x93\xa6Remark\xa1x\x81\xa1x" + b"\x91" * 5000 + b"\xc0",
    ],
)
def test_what_is_no_message_is_refused_and_its_descriptors_are_closed(
    ends: Ends, data: bytes
) -> None:
    left, right = ends
    read, write = os.pipe()
    before = open_descriptors()
    socket.send_fds(left.sock, [data], [write, read])

    with pytest.raises(msgspec.MsgspecError):
        right.receive()

    assert open_descriptors() == before
    os.close(read)
    os.close(write)
    left.send(Ack(1))
    assert right.receive() == (Ack(1), [])


def test_a_message_of_another_line_is_refused(ends: Ends) -> None:
    """A task cannot give a herder's orders."""
    left, right = ends
    left.send(Ready(1))

    with pytest.raises(msgspec.MsgspecError):
        right.receive()


def test_a_message_that_is_too_long_is_not_sent(ends: Ends) -> None:
    left, right = ends
    left.sock.setblocking(False)
    right.sock.setblocking(False)
    with pytest.raises(UnsendableError, match=r"Failing has \d+ bytes"):
        left.send(Failing(1, "s", "x" * MAX_MESSAGE_BYTES, "poll"))
    with pytest.raises(BlockingIOError):
        right.receive()


@pytest.mark.parametrize("value", ["\udc80", 1 << 64, object()])
def test_a_message_with_what_cannot_be_written_is_not_sent(ends: Ends, value: Any) -> None:
    left, right = ends
    right.sock.setblocking(False)
    with pytest.raises(UnsendableError, match="Remark: "):
        left.send(Remark("noted", {"value": value}))
    with pytest.raises(BlockingIOError):
        right.receive()


def test_any_reload_fits_into_a_message(ends: Ends) -> None:
    left, right = ends
    many = [f"{number} {'𝄞' * 5000}" for number in range(500)]
    left.send(Reloaded(dict.fromkeys(many, "created"), (*many,), (*many,)).shortened())

    received = right.receive()
    assert received is not None
    told = received[0]
    assert isinstance(told, Reloaded)
    assert told.problems[0].startswith("0 ")
    assert told.problems[-1] == "and 450 more"


def test_the_longest_message_fits_through_a_non_blocking_socket(ends: Ends) -> None:
    """No option of the socket needs to be raised for it."""
    left, right = ends
    right.sock.setblocking(False)
    words = Failing(1, "s", "x" * (MAX_MESSAGE_BYTES - 30), "poll")
    right.send(words)

    assert left.receive() == (words, [])


def test_a_message_that_was_cut_is_refused(ends: Ends) -> None:
    """Somebody who sends more than the cap gets no half message through."""
    left, right = ends
    left.sock.send(msgspec.msgpack.encode(["Drop", "x" * (MAX_MESSAGE_BYTES + 10), 1]))

    with pytest.raises(msgspec.MsgspecError):
        right.receive()


def test_the_end_of_the_other_side_shows_as_none_and_later_sends_fail(ends: Ends) -> None:
    left, right = ends
    left.close()

    assert right.receive() is None
    with pytest.raises(OSError, match="Broken pipe"):
        right.send(Ack(1))


def test_what_was_sent_before_the_end_is_still_received(ends: Ends) -> None:
    left, right = ends
    left.send(Ack(1))
    left.close()

    assert right.receive() == (Ack(1), [])
    assert right.receive() is None


def test_last_words_are_received_although_their_sender_left_an_order_unread(ends: Ends) -> None:
    """The kernel reports such an end as an error, ahead of the words."""
    left, right = ends
    right.send(Ready(1))
    left.send(Ack(1))
    left.send(Ack(2))
    left.close()

    assert right.receive() == (Ack(1), [])
    assert right.receive() == (Ack(2), [])
    assert right.receive() is None


def test_a_reader_that_does_not_read_never_blocks_a_non_blocking_sender(ends: Ends) -> None:
    left, _right = ends
    left.sock.setblocking(False)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while sent < 100_000:
            left.send(Ack(sent))
            sent += 1

    assert 0 < sent < 100_000


def test_more_descriptors_than_a_message_may_carry_leak_nothing(ends: Ends) -> None:
    left, right = ends
    read, write = os.pipe()
    before = open_descriptors()
    socket.send_fds(left.sock, [msgspec.msgpack.encode(["Ack", 1])], [read] * 20)
    received = right.receive()
    assert received is not None
    for fd in received[1]:
        os.close(fd)

    assert open_descriptors() == before
    os.close(read)
    os.close(write)
