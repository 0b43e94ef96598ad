"""What a slot says of a task: silent, busy, stalled, moving."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.model.deadlines import Deadlines
from engine.model.exit_status import ExitClass
from engine.model.lifecycle.event import FellSilent, Moved, Outgrew, Overran, Stalled
from engine.model.lifecycle.task_state import TaskState
from engine.model.limits import Limits
from engine.model.progress import Progress
from engine.model.slot import SLOT_BYTES, Slot
from engine.model.state import Condition
from engine.model.supervision import Supervision
from engine.model.watch import (
    busy_for,
    fell_silent,
    look_at_progress,
    memory_verdict,
    next_look,
    next_progress_look,
    recycle_due,
)  # fmt: skip

SECOND = 1_000_000_000


def limited(limits: Limits, condition: Condition = Condition.RUNNING) -> TaskState:
    return TaskState(
        condition=condition,
        generation=3,
        running_since=None if condition is Condition.STARTING else 100.0,
        supervision=Supervision(limits=limits),
    )


def state(condition: Condition = Condition.RUNNING, **deadlines: float) -> TaskState:
    supervision = Supervision(deadlines=Deadlines(**deadlines))  # type: ignore[arg-type]
    return TaskState(condition=condition, generation=3, supervision=supervision)


def slot_at(stage: str, heartbeat: float = 100.0) -> Slot:
    slot = Slot(memoryview(bytearray(SLOT_BYTES)))
    slot.begin(3, 0)
    slot.enter(stage, int(heartbeat * SECOND))
    return slot


@pytest.mark.parametrize(
    ("stage", "limit"),
    [("poll", 10), ("transform", 20), ("convert", 20), ("put", 30), ("flush", 40), ("commit", 50),
     ("produce", 5), ("wait", 5), ("start", 60)],
)  # fmt: skip
def test_each_stage_has_its_own_deadline(stage: str, limit: float) -> None:
    task = state(heartbeat=5, poll=10, transform=20, put=30, flush=40, commit=50)
    slot = slot_at(stage)

    assert fell_silent(task, slot, int((100 + limit) * SECOND)) is None
    event = fell_silent(task, slot, int((100.5 + limit) * SECOND))
    assert event == FellSilent(3, limit + 0.5, stage)


def test_a_stage_without_a_deadline_has_the_heartbeats() -> None:
    assert fell_silent(state(heartbeat=5), slot_at("put"), 106 * SECOND) is not None


def test_what_the_task_has_in_hand_is_told() -> None:
    slot = slot_at("put")
    slot.take("lines-0@7 to lines-0@9, 3 records")

    event = fell_silent(state(), slot, 200 * SECOND)

    assert event is not None
    assert event.in_hand == "lines-0@7 to lines-0@9, 3 records"


@pytest.mark.parametrize("condition", set(Condition) - {"RUNNING", "PAUSED", "DEGRADED"})
def test_nobody_else_is_watched(condition: Condition) -> None:
    assert fell_silent(state(condition), slot_at("put"), 10_000 * SECOND) is None


def test_announced_silence_counts_up_to_its_maximum() -> None:
    slot = slot_at("poll")
    slot["busy_until_ns"] = 1000 * SECOND

    assert busy_for(Deadlines(), slot, 200 * SECOND) == 800
    assert busy_for(Deadlines(busy_max=300), slot, 200 * SECOND) == 200
    assert fell_silent(state(busy_max=300), slot, 399 * SECOND) is None
    assert fell_silent(state(busy_max=300), slot, 401 * SECOND) is not None


def test_nobody_looks_before_the_shortest_deadline_of_the_last_heartbeat() -> None:
    task, slot = state(heartbeat=30, transform=4), slot_at("poll")

    assert next_look(task, slot, 101 * SECOND) == 104 * SECOND
    assert next_look(task, slot, 110 * SECOND) == 110 * SECOND  # poll has more time: every look


def test_a_process_that_starts_is_looked_at_from_its_heartbeat_on() -> None:
    task, slot = state(Condition.STARTING, heartbeat=30), slot_at("start")

    assert next_look(task, slot, 102 * SECOND) == 130 * SECOND


def test_where_there_is_no_process_nobody_looks_at_once() -> None:
    task, slot = state(Condition.BACKOFF, heartbeat=30), slot_at("poll")

    assert next_look(task, slot, 1000 * SECOND) == 1030 * SECOND


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(st.floats(0.01, 20), st.sampled_from(("poll", "convert", "put", "wait"))),
        min_size=1, max_size=12,
    ),
    st.fixed_dictionaries({"heartbeat": st.floats(1, 9), "put": st.floats(0, 9),
                           "transform": st.floats(0, 9)}),
)  # fmt: skip
def test_who_looks_only_when_it_is_due_sees_what_who_always_looks_sees(
    beats: list[tuple[float, str]], deadlines: dict[str, float]
) -> None:
    supervision = Supervision(deadlines=Deadlines(**deadlines))  # type: ignore[arg-type]
    task = TaskState(condition=Condition.RUNNING, generation=3, supervision=supervision)
    slot, due, tick = slot_at("poll"), 0, SECOND // 2
    turns, at = [], 100.0
    for seconds, stage in beats:
        at += seconds
        turns.append((int(at * SECOND), stage))
    for now in range(100 * SECOND, int((at + 10) * SECOND), tick):
        while turns and turns[0][0] <= now:
            beat, stage = turns.pop(0)
            slot.enter(stage, beat)
        seen = fell_silent(task, slot, now)
        if now < due:
            assert seen is None
        elif seen is None:
            due = next_look(task, slot, now)
        else:
            return


@pytest.mark.parametrize(
    ("condition", "limit", "limits", "seconds"),
    [
        (Condition.RUNNING, 300, Limits(), 15),
        (Condition.RUNNING, 100, Limits(), 5),
        (Condition.RUNNING, 1, Limits(), 2),
        (Condition.DEGRADED, 300, Limits(), 2),
        (Condition.RUNNING, 300, Limits(recycle_records=5), 2),
        (Condition.RUNNING, 300, Limits(recycle_after=5), 2),
    ],
)  # fmt: skip
def test_progress_is_looked_at_as_often_as_it_matters(
    condition: Condition, limit: float, limits: Limits, seconds: int
) -> None:
    supervision = Supervision(deadlines=Deadlines(progress=limit), limits=limits)
    task = TaskState(condition=condition, generation=3, supervision=supervision)

    assert next_progress_look(task, 7 * SECOND) == (7 + seconds) * SECOND


def look(
    progress: Progress, task: TaskState, slot: Slot, now: float
) -> tuple[Progress, Stalled | Moved | None]:
    return look_at_progress(progress, task, slot, now)


def test_f34_records_that_wait_while_none_moves_make_a_task_degraded() -> None:
    task, slot, progress = state(progress=10), slot_at("poll"), Progress()
    slot["lag"] = 5
    slot["last_progress_ns"] = 1
    progress, event = look(progress, task, slot, 100.0)
    assert event is None
    slot["lag"] = 900

    progress, event = look(progress, task, slot, 110.0)
    assert event is None
    progress, event = look(progress, task, slot, 111.0)

    assert event == Stalled(3, 11.0, 900)
    degraded = state(Condition.DEGRADED, progress=10)
    assert look(progress, degraded, slot, 112.0)[1] is None
    slot["last_progress_ns"] = 2
    assert look(progress, degraded, slot, 113.0)[1] == Moved(3)


def test_f34_a_task_with_nothing_to_do_is_not_degraded() -> None:
    task, slot, progress = state(progress=10), slot_at("poll"), Progress()
    for now in range(0, 10_000, 2):
        slot["lag"] = 0 if now % 100 else 3  # a record comes, and is gone when we look again
        progress, event = look(progress, task, slot, float(now))
        assert event is None


def test_f34_records_that_kafka_does_not_take_are_a_sources_backlog() -> None:
    task, slot, progress = state(progress=10), slot_at("poll"), Progress()
    slot["queue_records"] = 100
    progress, _ = look(progress, task, slot, 0.0)

    assert look(progress, task, slot, 11.0)[1] == Stalled(3, 11.0, 100)


def test_f34_what_moves_slowly_moves() -> None:
    task, slot, progress = state(progress=10), slot_at("put"), Progress()
    slot["lag"] = 1000
    for now in range(0, 1000, 2):
        slot["last_progress_ns"] = now // 9
        progress, event = look(progress, task, slot, float(now))
        assert event is None


def test_f34_a_backlog_that_is_gone_is_recovery_enough() -> None:
    degraded, slot = state(Condition.DEGRADED, progress=10), slot_at("poll")
    slot["lag"] = 0

    assert look(Progress(50.0, 1, 9), degraded, slot, 100.0)[1] == Moved(3)


def test_a_limit_of_zero_looks_at_nothing() -> None:
    task, slot, progress = state(progress=0), slot_at("poll"), Progress()
    slot["lag"] = 1000
    for now in (0.0, 1e6):
        progress, event = look(progress, task, slot, now)
        assert event is None


def test_a_process_is_due_for_its_successor_after_so_many_records() -> None:
    task, slot = limited(Limits(recycle_records=1000)), slot_at("poll")
    slot["records_in"] = 5000  # by the processes before
    slot.begin(3, 0)
    slot["records_in"] = 5999
    assert recycle_due(task, slot, 200.0) is None
    slot["records_in"] = 6003

    event = recycle_due(task, slot, 200.0)

    words = "it has had 1003 records, and gets a fresh process after every 1000"
    assert event == Outgrew(3, ExitClass.RECYCLED, words)
    assert recycle_due(replace(task, recycling=ExitClass.RECYCLED), slot, 200.0) is None


def test_a_process_is_due_after_so_long_and_not_at_the_same_time_as_the_others() -> None:
    limits = Limits(recycle_after=3600)
    times = set()
    for generation in range(1, 60):
        task = replace(limited(limits), generation=generation)
        due = next(s for s in range(3000, 4200) if recycle_due(task, slot_at("poll"), 100.0 + s))
        times.add(due)

    assert 3600 * 0.9 <= min(times) <= max(times) <= 3600 * 1.1 + 1
    assert len(times) > 40


@pytest.mark.parametrize(
    ("limits", "used", "is_confined", "expected"),
    [
        (Limits(memory_hard=100), 101, False, Overran(3, "it used 101 bytes of 100")),
        (Limits(memory_hard=100), 100, False, None),
        (Limits(memory_hard=100), 101, True, None),
        (Limits(memory_soft=50, memory_hard=100), 60, True,
         Outgrew(3, ExitClass.SOFT_MEMORY, "it used 60 bytes, more than 50")),
        (Limits(memory_soft=50, memory_hard=100), 101, False,
         Overran(3, "it used 101 bytes of 100")),
        (Limits(memory_soft=50), 50, False, None),
        (Limits(memory_soft=50, soft_interval=1000), 60, False, None),
        (Limits(), 1 << 40, False, None),
    ],
)  # fmt: skip
def test_the_memory_that_a_process_uses_is_judged_by_its_limits(
    limits: Limits, used: int, is_confined: bool, expected: Outgrew | Overran | None
) -> None:
    assert memory_verdict(limited(limits), used, 200.0, is_confined=is_confined) == expected


def test_f53_a_task_that_is_starting_is_given_no_fresh_process() -> None:
    task = limited(Limits(memory_soft=50), Condition.STARTING)

    assert memory_verdict(task, 60, 200.0, is_confined=False) is None
    task = limited(Limits(memory_hard=50), Condition.STARTING)
    assert memory_verdict(task, 60, 200.0, is_confined=False) is not None
