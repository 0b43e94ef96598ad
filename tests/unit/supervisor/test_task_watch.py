"""Who is looked at on a tick."""

import asyncio
import time
from pathlib import Path
from typing import Any, cast

import pytest

from engine.model.deadlines import Deadlines
from engine.model.lifecycle.event import FellSilent, Outgrew, Stalled
from engine.model.lifecycle.task_state import TaskState
from engine.model.limits import Limits
from engine.model.slot import SLOT_BYTES, Slot
from engine.model.state import Condition
from engine.model.supervision import Supervision
from engine.model.task_id import TaskId
from engine.supervisor.cgroups import Cgroups
from engine.supervisor.log import Log
from engine.supervisor.memory_use import OomKills
from engine.supervisor.supervised_task import SupervisedTask
from engine.supervisor.task_watch import TaskWatch
from tests.unit.supervisor.conftest import ReadLog


class Task:
    """A task whose slot the test writes."""

    def __init__(self, number: int, deadlines: Deadlines | None = None) -> None:
        self.id = TaskId("c", number)
        self.slot = Slot(memoryview(bytearray(SLOT_BYTES)))
        self.slot.begin(3, time.monotonic_ns())
        self.heard: list[Any] = []
        self.memory_checks = 0
        self.wants(deadlines=deadlines)

    def wants(self, limits: Limits | None = None, deadlines: Deadlines | None = None) -> None:
        supervision = Supervision(deadlines=deadlines or Deadlines(), limits=limits or Limits())
        self.state = TaskState(
            condition=Condition.RUNNING, generation=3, running_since=1.0, supervision=supervision
        )

    def silent_for(self, seconds: float) -> None:
        self.slot["heartbeat_ns"] = time.monotonic_ns() - int(seconds * 1e9)

    def handle(self, event: Any) -> None:
        self.heard.append(event)

    def check_memory(self, _now: float) -> None:
        self.memory_checks += 1

    @property
    def real(self) -> SupervisedTask:
        return cast("SupervisedTask", self)


class Watched:
    """A watch over some tasks."""

    def __init__(self, folder: Path, log: Log) -> None:
        self.tasks: dict[TaskId, SupervisedTask] = {}
        self.watch = TaskWatch(self.tasks, Cgroups(log, folder, "off"), OomKills())

    def add(self, task: Task) -> Task:
        self.tasks[task.id] = task.real
        self.watch.watch(task.real)
        return task


@pytest.fixture
def watched(tmp_path: Path, read_log: ReadLog) -> Watched:
    """Without tasks."""
    return Watched(tmp_path, read_log.log)


def test_of_all_tasks_the_silent_one_hears_of_it(watched: Watched) -> None:
    tasks = [watched.add(Task(number, Deadlines(heartbeat=5))) for number in range(20)]
    tasks[7].silent_for(6)

    watched.watch.look()

    assert [task.id.task for task in tasks if task.heard] == [7]
    assert isinstance(tasks[7].heard[0], FellSilent)


def test_a_look_that_fails_keeps_no_other_task_from_being_looked_at(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        errors: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: errors.append(context["message"]))
        limits, deadlines = Limits(memory_hard=1), Deadlines(heartbeat=5)
        tasks = [watched.add(Task(number, deadlines)) for number in range(5)]
        for task in tasks:
            task.wants(limits, deadlines)
            watched.watch.watch(task.real)
            task.silent_for(6)
        for name in ("handle", "check_memory"):
            monkeypatch.setattr(tasks[0], name, lambda _: int("no number"))

        watched.watch.look()

        assert errors == ["a look at task c-0"] * 2
        assert [(len(task.heard), task.memory_checks) for task in tasks[1:]] == [(1, 1)] * 4
        monkeypatch.undo()
        watched.watch.look()
        assert len(tasks[0].heard) == 1

    asyncio.run(body())


def test_a_task_that_got_a_shorter_deadline_is_judged_by_it_at_once(watched: Watched) -> None:
    task = watched.add(Task(1, Deadlines(heartbeat=30)))
    watched.watch.look()
    task.silent_for(5)
    watched.watch.look()
    assert not task.heard
    task.wants(deadlines=Deadlines(heartbeat=2))
    watched.watch.watch(task.real)

    watched.watch.look()

    assert isinstance(task.heard[0], FellSilent)


def test_silence_that_was_not_due_is_noticed_when_it_is(watched: Watched) -> None:
    task = watched.add(Task(1, Deadlines(heartbeat=0.05)))
    watched.watch.look()
    deadline = time.monotonic() + 30
    while not task.heard and time.monotonic() < deadline:
        watched.watch.look()

    assert isinstance(task.heard[0], FellSilent)


def test_who_has_records_and_moves_none_is_noticed_by_the_same_watch(watched: Watched) -> None:
    task = watched.add(Task(1, Deadlines(progress=0.01)))
    task.slot["lag"] = 5
    watched.watch.look()
    watched.watch.watch(task.real)  # what is known of it stays known
    deadline = time.monotonic() + 30
    while not task.heard and time.monotonic() < deadline:
        watched.watch.look()

    assert isinstance(task.heard[0], Stalled)


def test_only_tasks_with_a_limit_have_their_memory_looked_at(watched: Watched) -> None:
    free, limited = watched.add(Task(1)), watched.add(Task(2))
    limited.wants(Limits(memory_hard=1))
    watched.watch.watch(limited.real)
    watched.watch.look()
    assert (free.memory_checks, limited.memory_checks) == (0, 1)

    limited.wants()
    watched.watch.watch(limited.real)
    watched.watch.look()

    assert limited.memory_checks == 1


def test_a_task_that_is_gone_is_left_alone(watched: Watched) -> None:
    task = watched.add(Task(1, Deadlines(heartbeat=1)))
    task.wants(Limits(memory_hard=1, recycle_records=1), Deadlines(heartbeat=1))
    watched.watch.watch(task.real)
    del watched.tasks[task.id]
    task.silent_for(5)
    task.slot["records_in"] = 5

    watched.watch.look()

    assert (task.heard, task.memory_checks) == ([], 0)


def test_a_process_that_has_done_its_share_hears_of_it(watched: Watched) -> None:
    task = watched.add(Task(1))
    task.wants(Limits(recycle_records=3))
    watched.watch.watch(task.real)
    task.slot["records_in"] = 3

    watched.watch.look()

    assert isinstance(task.heard[0], Outgrew)
