"""The state file: nothing is lost by a kill, and what cannot be read stops nobody."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.model.lifecycle.task_memory import TaskMemory
from engine.model.state import Condition
from engine.model.task_id import TaskId
from engine.supervisor.log import Console, Log
from engine.supervisor.state_file import StateFile

CALM, ODD = TaskId("calm", 0), TaskId("odd/=é", 3)
WAITING = TaskMemory("hash", Condition.BACKOFF, retry_in=30.0, failures=4, restarts={"crash": 4})
FAILED = TaskMemory("hash", Condition.FAILED, trace="ValueError: é\n  line 1")

Make = Callable[[], StateFile]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "supervisor.state"


@pytest.fixture
def lines(tmp_path: Path) -> Callable[[], str]:
    return (tmp_path / "log").read_text


@pytest.fixture
def make(path: Path, tmp_path: Path) -> Make:
    """A supervisor's state file, read."""

    def read() -> StateFile:
        with (tmp_path / "log").open("ab") as log:
            made = StateFile(path, Log(Console(os.dup(log.fileno())), as_json=True))
        made.load()
        return made

    return read


def put(state_file: StateFile, *memories: tuple[TaskId, TaskMemory | None]) -> None:
    """Remember these at once, in a loop that then turns."""

    async def run() -> None:
        for task, memory in memories:
            state_file.put(task, memory)
        await asyncio.sleep(0)

    asyncio.run(run())


def test_what_was_put_is_there_after_a_kill(make: Make) -> None:
    first = make()
    put(first, (CALM, WAITING), (ODD, FAILED))

    second = make()

    found = second.take(CALM)
    assert found is not None
    assert found[0] == WAITING
    assert 0 <= found[1] < 60
    assert (second.take(ODD) or [None])[0] == FAILED
    assert second.take(ODD) is None


def test_a_change_is_in_the_file_before_the_loop_turns_again(make: Make, path: Path) -> None:
    state_file = make()

    put(state_file, (CALM, FAILED), (CALM, WAITING))

    assert path.read_text().count("calm") == 1


def test_the_newest_word_counts_and_what_is_forgotten_is_gone(make: Make) -> None:
    first = make()
    put(first, (CALM, FAILED), (ODD, FAILED))
    put(first, (CALM, WAITING), (ODD, None))

    second = make()

    assert (second.take(CALM) or [None])[0] == WAITING
    assert second.take(ODD) is None


def test_after_an_end_in_good_order_what_had_failed_gets_another_try(make: Make) -> None:
    first = make()
    put(first, (CALM, WAITING), (ODD, FAILED))
    first.end()

    second = make()

    assert (second.take(CALM) or [None])[0] == WAITING
    memory = second.take(ODD)
    assert memory is not None
    assert (memory[0].condition, memory[0].trace) == (Condition.STOPPED, FAILED.trace)
    assert (make().take(ODD) or [None])[0] == FAILED  # the second one was killed


def test_tasks_that_nobody_wants_any_more_are_forgotten(make: Make) -> None:
    first = make()
    other = TaskId("waits", 0)
    put(first, (CALM, WAITING), (ODD, FAILED), (other, FAILED))
    second = make()
    second.take(CALM)

    async def forget() -> None:
        second.forget_the_rest(but={other})
        await asyncio.sleep(0)

    asyncio.run(forget())

    third = make()
    assert third.take(CALM) is not None
    assert third.take(ODD) is None
    assert third.take(other) is not None


@pytest.mark.parametrize("left", [1, 40, 120])
def test_f49_a_line_that_was_cut_off_costs_itself_alone(
    make: Make, path: Path, lines: Callable[[], str], left: int
) -> None:
    first = make()
    put(first, (CALM, WAITING))
    whole = path.read_bytes()
    put(first, (ODD, FAILED))
    path.write_bytes(path.read_bytes()[: len(whole) + left])

    second = make()
    put(second, (TaskId("new", 0), WAITING))

    third = make()
    assert third.take(CALM) is not None
    assert third.take(ODD) is None
    assert third.take(TaskId("new", 0)) is not None
    assert "the state file has unreadable lines" in lines()


def test_f49_bytes_that_rotted_are_passed_over(make: Make, path: Path) -> None:
    first = make()
    put(first, (CALM, FAILED))
    put(first, (ODD, WAITING))
    data = path.read_bytes()
    path.write_bytes(data.replace(b"ValueError", b"ValueErrer"))

    second = make()

    assert second.take(CALM) is None
    assert second.take(ODD) is not None


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"{}\n", b"nonsense \xff\n" * 9])
def test_f49_a_file_of_nonsense_stops_nobody(make: Make, path: Path, content: bytes) -> None:
    path.write_bytes(content)

    first = make()
    assert first.take(CALM) is None
    put(first, (CALM, WAITING))

    assert make().take(CALM) is not None


def test_f49_when_the_file_is_gone_the_one_before_is_used(make: Make, path: Path) -> None:
    first = make()
    put(first, (CALM, WAITING))
    path.rename(path.with_name("supervisor.state.prev"))

    assert make().take(CALM) is not None


def test_the_file_stays_small_and_what_it_says_stays_right(make: Make, path: Path) -> None:
    first = make()
    for number in range(3000):
        memory = TaskMemory("hash", Condition.BACKOFF, failures=number, reason="x" * 200)
        put(first, (CALM, memory))

    assert path.stat().st_size < 400_000
    found = make().take(CALM)
    assert found is not None
    assert found[0].failures == 2999


def test_f58_a_disk_that_takes_nothing_is_told_once_and_tried_again(
    make: Make, path: Path, lines: Callable[[], str]
) -> None:
    state_file = make()
    os.dup2(os.open("/dev/full", os.O_WRONLY), state_file._fd)

    put(state_file, (CALM, WAITING))
    state_file._path = path.with_name("nowhere") / "supervisor.state"
    put(state_file, (ODD, FAILED))
    assert lines().count("the state file cannot be written") == 1
    state_file._path = path
    assert state_file.is_behind
    state_file.flush()

    assert "the state file is complete again" in lines()
    second = make()
    assert second.take(CALM) is not None
    assert second.take(ODD) is not None


def test_a_newer_engines_file_is_not_used(make: Make, path: Path, lines: Callable[[], str]) -> None:
    import engine.supervisor.state_file as module

    first = make()
    put(first, (CALM, WAITING))
    newer = module._encode(module.Begun(module.SCHEMA_VERSION + 1))
    later = module._encode(module.Remembered("odd", 3, first._now(), FAILED))
    path.write_bytes(path.read_bytes() + newer + later)

    second = make()

    assert second.take(CALM) is not None
    assert second.take(TaskId("odd", 3)) is None
    assert "newer engine" in lines()
