"""What a herder makes of the reports about tasks."""

import asyncio
import mmap
import os
import time
from pathlib import Path

import msgspec
import pytest

from engine.herder.connector_entry import config_hash
from engine.herder.sampler import Sample
from engine.herder.task_table import TaskTable
from engine.model.death import Death
from engine.model.slot import SLOT_BYTES, Slot
from engine.model.state import ON_THE_WIRE, Condition, State
from engine.model.task_id import TaskId
from engine.wire.herder_message import TaskEvent, TaskReport
from engine.wire.task_message import TaskAssignment

TASK = TaskId("c", 0)
ASSIGNMENT = TaskAssignment(
    "c", 0, "source", {"w": "1"}, {"name": "c", "tasks.max": "1"}, {"n": "0"}, "/data"
)


def report(condition: Condition = Condition.RUNNING, **changes: object) -> TaskReport:
    made = TaskReport("c", 0, 5, condition, "hash", pid=7)
    return msgspec.structs.replace(made, **changes)


def event(name: str, told: TaskReport, seq: int = 1) -> TaskEvent:
    return TaskEvent(seq, name, time.monotonic_ns(), told)


@pytest.fixture
def table() -> TaskTable:
    return TaskTable("w:1", Path("/logs"))


@pytest.mark.parametrize("condition", Condition)
def test_a_condition_reads_as_upstream_knows_it_with_a_trace_only_when_something_failed(
    table: TaskTable, condition: Condition
) -> None:
    table.apply(event("x", report(condition, trace="Why: so")))
    state = table.state_of(TASK, "1.0")
    assert state.state is ON_THE_WIRE[condition]
    has_failed = condition in (Condition.FAILED, Condition.BACKOFF, Condition.UNKILLABLE)
    assert state.trace == ("Why: so" if has_failed else None)
    assert (state.worker_id, state.version) == ("w:1", "1.0")


def test_a_trace_that_is_left_to_the_death_is_shown_all_the_same(table: TaskTable) -> None:
    death = Death(
        5, "crash", "exit code 70", "FAILED", 1000, error="OSError: no", traceback="Traceback",
        verdict="not restarted",
    )  # fmt: skip
    failed = report(Condition.FAILED, trace="")
    table.apply(TaskEvent(1, "exited", time.monotonic_ns(), failed, death))
    table.apply(event("failed", failed, 2))
    [view] = table.views({"c": "sink"})
    assert view.report.trace == "OSError: no\nTraceback\nnot restarted"
    table.apply(event("running", report(), 3))
    [view] = table.views({"c": "sink"})
    assert view.report.trace is None


def test_a_task_that_nobody_has_spoken_of_is_unassigned(table: TaskTable) -> None:
    assert table.state_of(TASK, None).state is State.UNASSIGNED


def test_a_task_may_have_a_process_until_it_is_gone(table: TaskTable) -> None:
    """Also one that cannot be killed, for which nobody waits any more."""
    table.leave([TASK])
    assert (table.has_any("c"), table.has_any("d")) == (True, False)
    for number, name in enumerate(("running", "stopping", "unkillable")):
        table.apply(event(name, report(Condition.UNKILLABLE), number))
        assert table.has_any("c")
    table.apply(event("gone", report(Condition.STOPPED), 9))
    assert not table.has_any("c")


def test_a_restart_reads_restarting_until_a_newer_process_is_told_of(table: TaskTable) -> None:
    table.apply(event("running", report()))
    table.restarting(TASK)
    assert table.state_of(TASK, None).state is State.RESTARTING
    table.apply(event("exited", report(Condition.STOPPED)))
    assert table.state_of(TASK, None).state is State.RESTARTING
    table.apply(event("running", report(generation=6)))
    assert table.state_of(TASK, None).state is State.RUNNING


def test_a_restart_of_a_task_that_is_starting_is_no_promise(table: TaskTable) -> None:
    table.apply(event("stopping", report(Condition.STOPPING)))
    table.restarting(TASK)
    assert table.state_of(TASK, None).state is State.RUNNING


def test_the_time_to_the_next_start_runs_down(table: TaskTable) -> None:
    told = TaskEvent(
        1, "backoff", time.monotonic_ns() - 2_000_000_000, report(Condition.BACKOFF, retry_in=10.0)
    )
    table.apply(told)
    (view,) = table.views({})
    assert view.report.retry_in == pytest.approx(8.0, abs=0.5)
    assert view.type == "unknown"


def test_cpu_time_of_former_processes_is_kept(table: TaskTable) -> None:
    table.apply(event("running", report()))
    table.sampled([Sample("c", 0, 7, 1.5, 2, 3, 9.0)])
    table.sampled([Sample("c", 0, 7, 2.5, 2, 3, 10.0)])
    table.sampled([Sample("c", 0, 8, 0.5, 2, 3, 11.0)])
    table.sampled([Sample("c", 0, 8, 0.25, 2, 3, 12.0)])  # another one with the same pid

    (view,) = table.views({})

    assert view.sample is not None
    assert (view.former_cpu_seconds, view.sample.cpu_seconds) == (3.0, 0.25)


def test_a_slot_shows_what_its_writer_writes_and_its_descriptor_is_closed(
    table: TaskTable,
) -> None:
    fd = os.memfd_create("slot")
    os.ftruncate(fd, SLOT_BYTES)
    writer = os.dup(fd)
    table.snapshot(report(), [fd])
    os.pwrite(writer, (1).to_bytes(8, "little"), 0)
    os.close(writer)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    table.sampled([Sample("c", 0, 7, 1.5, 2, 3, 9.0)])
    (view,) = table.views({"c": "source"})
    assert view.slot["layout_version"] == 1
    assert view.sample == Sample("c", 0, 7, 1.5, 2, 3, 9.0)
    assert view.type == "source"


def test_last_words_of_an_earlier_life_never_hide_what_is_told_now(table: TaskTable) -> None:
    table.remember({TASK: report(reason="it crashed")})
    assert table.state_of(TASK, None).state is State.UNASSIGNED
    assert table.views({})[0].report.reason == "it crashed"
    table.apply(event("running", report(generation=9)))
    table.remember({TASK: report(Condition.FAILED)})
    assert table.state_of(TASK, None).state is State.RUNNING


def test_a_task_that_is_wanted_again_is_waited_for_no_longer(table: TaskTable) -> None:
    async def scenario() -> None:
        table.leave([TASK, TaskId("other", 0)])
        waiting = asyncio.create_task(table.wait_gone("c"))
        await asyncio.sleep(0)
        assert not waiting.done()
        table.expect(TASK)
        table.apply(event("running", report()))
        async with asyncio.timeout(5):
            await waiting

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "change",
    [
        {"start_paused": True},
        {"connector_config": {"name": "c", "tasks.max": "9", "tasks.max.enforce": "false"}},
        {"connector_config": {"tasks.max": "1", "engine.restart.max": "3", "name": "c"}},
    ],
)
def test_what_no_task_reads_leaves_the_hash_as_it_is(change: dict[str, object]) -> None:
    changed = msgspec.structs.replace(ASSIGNMENT, **change)
    assert config_hash(changed) == config_hash(ASSIGNMENT)


@pytest.mark.parametrize(
    "change",
    [
        {"type": "sink"},
        {"worker": {"w": "2"}},
        {"connector_config": {"name": "c", "tasks.max": "1", "value.converter": "x"}},
        {"config": {"n": "1"}},
    ],
)
def test_whatever_a_task_reads_changes_the_hash(change: dict[str, object]) -> None:
    changed = msgspec.structs.replace(ASSIGNMENT, **change)
    assert config_hash(changed) != config_hash(ASSIGNMENT)


def test_tasks_are_on_their_way_when_each_has_moved_a_record_or_is_in_no_hurry(
    table: TaskTable,
) -> None:
    assert not table.are_on_their_way(1), "it has not been told of"
    slot_fd = os.memfd_create("slot")
    os.ftruncate(slot_fd, SLOT_BYTES)
    slot = Slot(memoryview(mmap.mmap(slot_fd, SLOT_BYTES)))
    table.snapshot(report(Condition.STARTING), [slot_fd])
    assert not table.are_on_their_way(1)
    slot["first_ack_ns"] = 1
    assert table.are_on_their_way(1)
    slot["first_ack_ns"] = 0
    table.apply(event("failed", report(Condition.FAILED)))
    assert table.are_on_their_way(1)
    assert not table.are_on_their_way(2)
