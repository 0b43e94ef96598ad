"""Dead letters in a file: nothing is lost within the bounds, and the bounds hold."""

import multiprocessing
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.model.error_policy import QueueLimits, Stage
from engine.model.letters.dead_letter import DeadLetter, RawRecord
from engine.model.letters.place import in_file
from engine.storage.database import StoreError
from engine.storage.dead_letter_store import DeadLetterStore, QueueFullError
from engine.storage.letter_handling import begin_replay, end_replay
from engine.storage.letter_notes import LetterNotes

NOW = 1_700_000_000_000
LIMITS = QueueLimits(64 << 20, -1)
HEADERS = (("h", b"\x00\xff"), ("h", None))


def letter(offset: int, size: int = 10, **changes: object) -> DeadLetter:
    record = RawRecord("t", b"k", b"x" * size, HEADERS, partition=0, offset=offset, timestamp=7)
    made = DeadLetter(
        connector="c", task=0, stage=Stage.TASK_PUT, executing="a.B", exception="ValueError",
        message="no", stacktrace="Traceback", attempts=2, failed_ms=NOW, record=record,
    )  # fmt: skip
    return replace(made, **changes)


@pytest.fixture
def store(tmp_path: Path) -> DeadLetterStore:
    return DeadLetterStore(tmp_path, "c/1")


def offsets(store: DeadLetterStore) -> list[int | None]:
    return [each.letter.record.offset for each in store.letters()]


def test_a_letter_comes_back_as_it_was(store: DeadLetterStore, tmp_path: Path) -> None:
    source = RawRecord("t", value=b"{}", source_partition={"f": "a"}, source_offset={"p": 1})
    given = [letter(1), letter(2, message=None), letter(0, record=source)]
    assert store.add(given, LIMITS, NOW) == 0
    store.close()
    found = DeadLetterStore(tmp_path, "c/1").letters()
    assert [each.letter for each in found] == given
    assert [(each.place.number, each.times) for each in found] == [(1, 1), (2, 1), (3, 1)]


def test_reading_makes_no_file(store: DeadLetterStore) -> None:
    assert store.letters() == []
    assert store.counts() == {}
    store.remove([in_file(1)])
    assert not store.path.exists()


def test_what_fails_again_in_the_same_way_is_one_letter(store: DeadLetterStore) -> None:
    store.add([letter(1), letter(2)], LIMITS, NOW)
    store.add([letter(1, failed_ms=NOW + 5, message="again")], LIMITS, NOW)
    first, second = store.letters()
    assert (first.place.number, first.times, first.first_failed_ms) == (1, 2, NOW)
    assert (first.letter.failed_ms, first.letter.message) == (NOW + 5, "again")
    assert second.times == 1


def test_pages_counts_and_removal(store: DeadLetterStore) -> None:
    store.add([letter(i) for i in range(10)], LIMITS, NOW)
    store.add([letter(10, stage=Stage.TRANSFORMATION)], LIMITS, NOW)
    assert [each.place.number for each in store.letters(after=7, limit=2)] == [8, 9]
    assert store.counts() == {("TASK_PUT", "ValueError"): 10, ("TRANSFORMATION", "ValueError"): 1}
    store.remove(map(in_file, (1, 2, 99)))
    store.add([letter(11)], LIMITS, NOW)
    assert [each.place.number for each in store.letters()] == list(range(3, 13))


def test_old_letters_go_when_new_ones_come(store: DeadLetterStore) -> None:
    limits = QueueLimits(64 << 20, 60)
    store.add([letter(1), letter(2, failed_ms=NOW + 50_000)], limits, NOW)
    assert store.add([letter(3, failed_ms=NOW + 70_000)], limits, NOW + 70_000) == 1
    assert offsets(store) == [2, 3]


def test_the_oldest_give_way_at_the_bound_of_size(store: DeadLetterStore) -> None:
    limits = QueueLimits(1 << 20, -1)
    dropped = sum(store.add([letter(i, 10_000)], limits, NOW) for i in range(300))
    left = offsets(store)
    assert left == list(range(300 - len(left), 300))
    assert dropped == 300 - len(left) > 0
    assert store.path.stat().st_size < (1 << 20) + 100_000


def test_the_newest_letter_stays_however_large_it_is(store: DeadLetterStore) -> None:
    limits = QueueLimits(1 << 16, -1)
    store.add([letter(i) for i in range(5)], limits, NOW)
    assert store.add([letter(9, 1 << 20)], limits, NOW) == 5
    assert offsets(store) == [9]


def test_a_full_file_refuses_where_nothing_may_go(store: DeadLetterStore) -> None:
    limits = QueueLimits(1 << 18, -1, drops_oldest=False)
    store.add([letter(1)], limits, NOW)
    with pytest.raises(QueueFullError, match="may not be larger than 262144 bytes"):
        store.add([letter(2), letter(3, 1 << 18)], limits, NOW)
    assert offsets(store) == [1]


def test_a_file_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "dead-letters").write_text("in the way")
    with pytest.raises(StoreError, match=r"dead-letters/c\.db"):
        DeadLetterStore(tmp_path, "c").add([letter(1)], LIMITS, NOW)


def write_some(folder: Path, task: int) -> None:
    store = DeadLetterStore(folder, "c")
    for i in range(50):
        store.add([letter(task * 1000 + i, task=task)], LIMITS, NOW)


def test_tasks_of_a_connector_write_side_by_side(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_some, args=(tmp_path, task)) for task in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert len(DeadLetterStore(tmp_path, "c").letters()) == 150


def test_a_letter_that_was_sent_stays_so_when_it_is_refused_later(
    store: DeadLetterStore, tmp_path: Path
) -> None:
    store.add([letter(1)], LIMITS, NOW)
    seen = []
    # the clock is set back between the two replays
    for change in (begin_replay("t", {}, 50), end_replay(50), begin_replay("t", {}, 9),
                   end_replay(None)):  # fmt: skip
        store.handle(store.letters(), change)
        (found,) = store.letters()
        seen.append((found.is_replayed, found.is_uncertain))
    assert seen == [(False, True), (True, False), (False, True), (True, False)]
    notes = LetterNotes(tmp_path, "c/1", "dlq")
    notes.write([found], begin_replay("t", {}, 50))
    notes.write([found], end_replay(9))
    assert not replace(found, handling=notes.about([found])[found.place]).is_uncertain
    notes.write([found], begin_replay("t", {}, 60))
    notes.write([found], end_replay(None))
    assert found.id is not None
    assert notes.sent([found.id]) == {found.id: found.place}
    notes.close()
