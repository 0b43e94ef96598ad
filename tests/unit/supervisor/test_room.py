"""A supervisor without descriptors takes no further task, and loses none that is wanted."""

import itertools
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from engine.model.task_id import TaskId
from engine.supervisor.room import NEEDED, Room
from tests.unit.supervisor.conftest import ReadLog

A, B = TaskId("a", 0), TaskId("b", 1)


@contextmanager
def left(number: int) -> Iterator[None]:
    """This process may open so many more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = {int(name) for name in os.listdir("/proc/self/fd")}  # other tests' may be above all
    free = (fd for fd in itertools.count() if fd not in used or not is_open(fd))
    resource.setrlimit(resource.RLIMIT_NOFILE, (next(itertools.islice(free, number, None)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def is_open(fd: int) -> bool:
    """Not so for the one that lists them."""
    return os.path.exists(f"/proc/self/fd/{fd}")


def duplicate() -> int | None:
    """None when there is no place for it."""
    with suppress(OSError):
        return os.dup(0)
    return None


@pytest.fixture
def room(read_log: ReadLog) -> Iterator[Room]:
    made = Room(read_log.log, 0)
    yield made
    made.close()


def test_whoever_finds_no_room_is_told_of_once_and_comes_again_when_there_is_some(
    room: Room, read_log: ReadLog
) -> None:
    assert room.is_left()
    assert room.problem() is None
    with left(NEEDED - 2):
        assert not room.is_left()
        for task in (B, A):
            room.refuse(task)
        assert room.take_waiting() == []
        assert (room.problem() or "").startswith("2 tasks wait: the supervisor may open ")

    assert read_log.texts().count("tasks wait: no descriptors are left") == 1
    assert room.take_waiting() == [A, B]
    assert room.take_waiting() == []
    assert room.problem() is None


def test_whoever_is_not_wanted_any_more_does_not_come_again(room: Room) -> None:
    room.refuse(A)
    room.refuse(B)
    room.forget(A)
    assert room.take_waiting() == [B]
    room.refuse(A)
    room.forget_all()
    assert room.take_waiting() == []


def test_what_comes_with_a_message_finds_a_place_when_there_is_no_other(room: Room) -> None:
    with left(50):
        taken = list(iter(duplicate, None))
        with room.reserve_used():
            made = [os.dup(0), os.dup(0)]
        for fd in made:
            os.close(fd)
        with room.reserve_used():
            os.close(os.dup(0))
        for each in taken:
            assert each is not None
            os.close(each)
