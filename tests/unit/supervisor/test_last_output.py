"""Last outputs of dead processes."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from engine.model.death import Death
from engine.model.last_output import LastOutput, output_file
from engine.model.task_id import TaskId
from engine.supervisor.last_output import LastOutputs
from tests.unit.supervisor.conditions import until


def death(generation: int) -> Death:
    return Death(generation, "crash", "exit code 70", "BACKOFF", 1000)


def kept(data_dir: Path, task: TaskId) -> LastOutput:
    return msgspec.json.decode(output_file(data_dir, task).read_bytes(), type=LastOutput)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "deaths").mkdir()
    return tmp_path


def test_the_newest_output_of_each_task_is_kept_a_little_later(data_dir: Path) -> None:
    async def body() -> None:
        outputs = LastOutputs(data_dir)
        for generation in range(3):
            for number in range(50):
                outputs.keep(TaskId("c", number), death(generation), b"words \xff\n")
        assert list((data_dir / "deaths").iterdir()) == []  # restarts come first
        await until(lambda: len(list((data_dir / "deaths").glob("*.json"))) == 50)
        assert outputs.lost == 0

    asyncio.run(body())
    for number in range(50):
        assert kept(data_dir, TaskId("c", number)) == LastOutput(2, 1000, "words \\xff\n")


def test_what_waits_is_written_in_the_end(data_dir: Path) -> None:
    async def body() -> None:
        outputs = LastOutputs(data_dir)
        outputs.keep(TaskId("a/b", 0), death(1), b"x")
        outputs.write()

    asyncio.run(body())
    assert kept(data_dir, TaskId("a/b", 0)).output == "x"


def test_more_than_memory_should_hold_is_given_up_the_oldest_first(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.supervisor.last_output._MOST_WAITING", 100)

    async def body() -> None:
        outputs = LastOutputs(data_dir)
        for number in range(5):
            outputs.keep(TaskId("c", number), death(1), b"x" * 40)
        assert outputs.lost == 3
        outputs.write()

    asyncio.run(body())
    assert sorted(each.name for each in (data_dir / "deaths").iterdir()) == ["c-3.json", "c-4.json"]


def test_a_directory_that_is_gone_costs_the_output_and_nothing_else(tmp_path: Path) -> None:
    async def body() -> None:
        outputs = LastOutputs(tmp_path / "nowhere")
        outputs.keep(TaskId("c", 0), death(1), b"x")
        outputs.write()
        assert outputs.lost == 1

    asyncio.run(body())
