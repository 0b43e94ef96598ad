"""What a slot says of a task: silent, busy, stalled, moving."""

import pytest

from engine.model.deadlines import Deadlines
from engine.model.lifecycle_event import FellSilent, Moved, Stalled
from engine.model.progress import Progress
from engine.model.slot import SLOT_BYTES, Slot
from engine.model.state import Condition
from engine.model.supervision import Supervision
from engine.model.task_state import TaskState
from engine.model.watch import busy_for, fell_silent, look_at_progress

SECOND = 1_000_000_000


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
