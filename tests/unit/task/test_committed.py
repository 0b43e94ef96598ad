"""What a task tells of its commits."""

from typing import Any

from engine.model.slot import SLOT_BYTES, Slot
from engine.task.committed import Committed


def new_slot() -> Slot:
    slot = Slot(memoryview(bytearray(SLOT_BYTES)))
    slot.begin(1, 5)
    return slot


def test_a_process_that_has_committed_nothing_tells_nothing() -> None:
    slot = new_slot()
    Committed(slot, "after").add([])

    assert slot.committed("before") is None
    assert slot.committed("after") is None


def test_the_newest_offset_of_each_partition_is_told() -> None:
    slot = new_slot()
    after = Committed(slot, "after")
    after.add([("lines-0", 10), ("lines-1", 20)])
    after.add([("lines-1", 21)])
    after.add([({"file": "/ä"}, {"position": 7})])

    assert slot.committed("after") == [
        ["lines-0", 10], ["lines-1", 21], [{"file": "/ä"}, {"position": 7}],
    ]  # fmt: skip


def test_a_number_that_no_message_can_carry_is_told_by_its_digits() -> None:
    slot = new_slot()
    Committed(slot, "after").add([({"table": "t"}, {"scn": 1 << 64, "row": (1 << 63) - 1})])

    assert slot.committed("after") == [
        [{"table": "t"}, {"scn": str(1 << 64), "row": (1 << 63) - 1}]
    ]


def test_what_there_was_before_is_what_was_read_first() -> None:
    """Later it may be the process itself that has committed it."""
    slot = new_slot()
    before = Committed(slot, "before")
    before.add([("lines-0", 10)])
    before.add([("lines-0", 99), ("lines-1", 3)])

    assert slot.committed("before") == [["lines-0", 10], ["lines-1", 3]]
    assert slot.committed("after") is None


def test_many_or_long_partitions_are_cut_to_what_there_is_room_for() -> None:
    for name in ("t-{}", "a-very-long-name-of-a-topic-" + "x" * 100 + "-{}"):
        slot = new_slot()
        Committed(slot, "after").add((name.format(n), n) for n in range(1000))
        told: list[Any] = slot.committed("after") or []
        *pairs, others = told

        assert pairs == [[name.format(n), n] for n in range(len(pairs))]
        assert len(pairs) + others == 1000


def test_a_value_that_fits_nowhere_is_left_out() -> None:
    slot = new_slot()
    Committed(slot, "after").add([({"file": "x" * 5000}, {"position": 7})])

    assert slot.committed("after") == [1]


def test_a_new_process_begins_with_nothing() -> None:
    slot = new_slot()
    for which in ("before", "after"):
        Committed(slot, which).add([("lines-0", 10)])
    slot.begin(2, 6)

    assert slot.committed("before") is None
    assert slot.committed("after") is None


def test_a_kill_in_the_middle_of_a_commit_leaves_the_one_before() -> None:
    """What is told is written beside what was told."""
    slot = new_slot()
    after = Committed(slot, "after")
    for offset in range(20):
        after.add([("lines-0", offset)])
        turn = slot["committed_turn"]
        slot.tell_committed("after", b'[["li')  # as far as it came
        slot["committed_turn"] = turn
        assert slot.committed("after") == [["lines-0", offset]]
