"""Names of tasks, and of their files."""

import pytest

from engine.model.task_id import TaskId


def test_a_task_reads_as_upstream_writes_it() -> None:
    assert str(TaskId("orders", 3)) == "orders-3"


@pytest.mark.parametrize("name", ["orders", "a/b", "..", "ä" * 100, "x" * 4096, "日本" * 500])
def test_every_task_has_a_file_name_of_its_own(name: str) -> None:
    stem = TaskId(name, 12).file_stem

    assert "/" not in stem
    assert len(f"{stem}.log.1".encode()) <= 255
    assert stem not in (TaskId(f"{name}x", 12).file_stem, TaskId(name, 1).file_stem)


def test_plain_names_stay_as_they_are() -> None:
    assert TaskId("my-orders.v2", 0).file_stem == "my-orders.v2-0"
