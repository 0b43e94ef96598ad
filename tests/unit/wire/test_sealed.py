"""Values in sealed memory."""

import mmap
import os

import msgspec
import pytest

from engine.wire.herder_message import HerderBoot
from engine.wire.sealed import seal, unseal
from engine.wire.task_message import TaskAssignment

ASSIGNMENT = TaskAssignment(
    connector="orders",
    task=1,
    type="source",
    worker={"bootstrap.servers": "127.0.0.1:1"},
    connector_config={"password": "${file:/x:y}"},
    config={"task.class": "Ä"},
    data_dir="/data",
)


def test_a_value_comes_back_as_it_was_as_often_as_it_is_asked_for() -> None:
    fd = seal(ASSIGNMENT, "assignment")

    assert [unseal(fd, TaskAssignment) for _ in range(3)] == [ASSIGNMENT] * 3
    os.close(fd)


def test_nobody_can_change_what_was_sealed() -> None:
    fd = seal(ASSIGNMENT, "assignment")
    size = os.fstat(fd).st_size
    for change in (
        lambda: os.pwrite(fd, b"x", 0),
        lambda: os.ftruncate(fd, 0),
        lambda: os.ftruncate(fd, size + 1),
        lambda: mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE),
    ):
        with pytest.raises(PermissionError):
            change()
    os.close(fd)


def test_a_sealed_value_is_not_inherited() -> None:
    fd = seal(ASSIGNMENT, "assignment")

    assert not os.get_inheritable(fd)
    os.close(fd)


def test_a_value_of_another_kind_is_refused() -> None:
    fd = seal(ASSIGNMENT, "assignment")
    with pytest.raises(msgspec.ValidationError):
        unseal(fd, HerderBoot)
    os.close(fd)


def test_a_large_value_is_sealed_whole() -> None:
    large = HerderBoot(worker={"x": "y" * 20_000_000}, connectors=[], data_dir="/data")
    fd = seal(large, "boot")

    assert unseal(fd, HerderBoot) == large
    os.close(fd)
