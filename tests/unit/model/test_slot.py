"""The shared-memory slot of a task."""

import mmap
import os

import pytest

from engine.model.slot import FIELDS, FIRST_COUNTER, LAYOUT_VERSION, SLOT_BYTES, STAGES, Slot


def new_slot() -> Slot:
    return Slot(memoryview(bytearray(SLOT_BYTES)))


def test_all_fields_fit_into_a_slot() -> None:
    assert len(FIELDS) * 8 <= 704  # there the texts begin
    assert len(set(FIELDS)) == len(FIELDS)


def test_every_field_keeps_a_value_of_its_own() -> None:
    slot = new_slot()
    for number, name in enumerate(FIELDS):
        slot[name] = number - 3

    assert slot.values() == {name: number - 3 for number, name in enumerate(FIELDS)}


def test_a_new_process_begins_with_its_own_fields_anew_and_counters_as_they_were() -> None:
    """Counters never fall, over any number of restarts."""
    slot = new_slot()
    for name in FIELDS:
        slot[name] = 5

    slot.begin(generation=9, now_ns=123)

    values = slot.values()
    assert all(values[name] == 5 for name in FIELDS[FIRST_COUNTER:])
    assert {name: value for name, value in values.items() if value not in (0, 5)} == {
        "layout_version": LAYOUT_VERSION,
        "generation": 9,
        "heartbeat_ns": 123,
        "lag": -1,
        "record_offset": -1,
    }


def test_the_stage_is_kept_by_name() -> None:
    slot = new_slot()
    assert slot.stage == "init"
    for name in STAGES:
        slot.stage = name
        assert slot.stage == name
    with pytest.raises(KeyError):
        slot.stage = "lunch"


@pytest.mark.parametrize("index", [-1, len(STAGES), 1 << 40])
def test_a_stage_that_is_overwritten_is_unknown(index: int) -> None:
    slot = new_slot()
    slot["stage"] = index

    assert slot.stage == "unknown"
    assert slot.in_hand is None
    slot.begin(2, 1)
    assert slot.end_stage == "unknown"


def test_counting_and_maxima() -> None:
    slot = new_slot()
    slot.add("records_in", 3)
    slot.add("records_in", 4)
    slot.raise_to("batch_ns_max", 10)
    slot.raise_to("batch_ns_max", 7)

    assert (slot["records_in"], slot["batch_ns_max"]) == (7, 10)


def test_another_mapping_of_the_same_memory_sees_every_store() -> None:
    fd = os.memfd_create("slot test")
    os.ftruncate(fd, SLOT_BYTES)
    with (
        mmap.mmap(fd, SLOT_BYTES) as ours,
        mmap.mmap(fd, SLOT_BYTES, prot=mmap.PROT_READ) as theirs,
    ):
        os.close(fd)
        writer, reader = Slot(memoryview(ours)), Slot(memoryview(theirs))
        writer["bytes_out"] = 1 << 40
        assert reader["bytes_out"] == 1 << 40
        writer.release()
        reader.release()


def test_a_slot_says_what_the_task_has_in_hand() -> None:
    slot = new_slot()
    slot.begin(1, 5)
    slot.take("lines-0@100 to lines-0@299, 200 records")
    slot.enter("put", 7)

    assert slot.in_hand == "lines-0@100 to lines-0@299, 200 records"
    assert slot["heartbeat_ns"] == 7
    slot.enter("transform", 8)
    slot.mark(3, 117)
    assert slot.in_hand == "lines-0@100 to lines-0@299, 200 records, at partition 3 offset 117"
    slot.mark(-1, 17)
    assert slot.in_hand == "lines-0@100 to lines-0@299, 200 records, at record 17"
    slot.take("short")
    assert slot.in_hand == "short"


def test_between_batches_nothing_is_in_hand() -> None:
    slot = new_slot()
    slot.begin(1, 5)
    slot.take("lines-0@100")
    slot.enter("poll", 7)

    assert slot.in_hand is None


def test_a_text_that_is_too_long_is_cut_and_harms_nothing() -> None:
    slot = new_slot()
    slot.begin(1, 5)
    slot.enter("put", 7)
    before = slot.values()

    slot.take("é" * 5000 + "\udcff")

    assert slot.in_hand is not None
    assert 500 < len(slot.in_hand) < 1024
    assert {**slot.values(), "record_offset": 0} == {**before, "record_offset": 0}
