"""Offsets of a source connector in their file."""

import sqlite3
from pathlib import Path

import pytest

from engine.api.errors import DataError, IllegalWorkerStateError
from engine.storage.database import StoreError
from engine.storage.offset_store import OffsetStore


def test_what_was_written_is_read_by_another_process(tmp_path: Path) -> None:
    writer, reader = OffsetStore(tmp_path, "c"), OffsetStore(tmp_path, "c")
    assert reader.offset({"filename": "a"}) is None
    writer.write([({"filename": "a"}, {"position": 17})], task=0, generation=1)
    assert reader.offset({"filename": "a"}) == {"position": 17}
    writer.write([({"filename": "a"}, {"position": 18})], task=0, generation=1)
    assert reader.offsets([{"filename": "a"}, {"filename": "b"}]) == [{"position": 18}, None]


def test_reading_makes_no_file(tmp_path: Path) -> None:
    store = OffsetStore(tmp_path, "c")
    assert store.offset({}) is None
    assert store.all_offsets() == []
    assert store.batch_limit() is None
    assert list(tmp_path.iterdir()) == []


def test_the_order_of_a_partitions_fields_does_not_matter(tmp_path: Path) -> None:
    store = OffsetStore(tmp_path, "c")
    store.write([({"b": 1, "a": "x"}, {"n": None})], task=0, generation=1)
    assert store.offset({"a": "x", "b": 1}) == {"n": None}
    store.write([({"a": "x", "b": 1}, {"n": 2})], task=0, generation=1)
    assert store.all_offsets() == [({"a": "x", "b": 1}, {"n": 2})]


def test_the_key_is_kafka_connects(tmp_path: Path) -> None:
    store = OffsetStore(tmp_path, "c")
    store.write([({"z": "ü", "a": 1}, {"position": 1})], task=0, generation=1)
    with sqlite3.connect(store.path) as connection:
        rows = connection.execute("SELECT key, value FROM offsets").fetchall()
    connection.close()
    assert rows == [('["c",{"z":"ü","a":1}]', '{"position":1}')]


def test_an_older_process_cannot_overwrite_a_newer_one(tmp_path: Path) -> None:
    old, new = OffsetStore(tmp_path, "c"), OffsetStore(tmp_path, "c")
    new.write([({"f": 1}, {"p": 10})], task=0, generation=5)
    with pytest.raises(IllegalWorkerStateError, match="a newer process of task c-0"):
        old.write([({"g": 1}, {"p": 1}), ({"f": 1}, {"p": 9})], task=0, generation=4)
    assert new.all_offsets() == [({"f": 1}, {"p": 10})]


def test_a_partition_may_move_to_another_task(tmp_path: Path) -> None:
    store = OffsetStore(tmp_path, "c")
    store.write([({"f": 1}, {"p": 10})], task=1, generation=9)
    store.write([({"f": 1}, {"p": 11})], task=0, generation=2)
    assert store.offset({"f": 1}) == {"p": 11}


def test_offsets_can_be_set_and_forgotten_by_hand(tmp_path: Path) -> None:
    store = OffsetStore(tmp_path, "c")
    store.write([({"f": 1}, {"p": 10}), ({"f": 2}, {"p": 20})], task=0, generation=7)
    store.alter([({"f": 1}, None), ({"f": 2}, {"p": 2})])
    assert store.all_offsets() == [({"f": 2}, {"p": 2})]
    store.write([({"f": 2}, {"p": 3})], task=0, generation=1)
    store.reset()
    assert store.all_offsets() == []


def test_nested_values_are_refused(tmp_path: Path) -> None:
    store = OffsetStore(tmp_path, "c")
    with pytest.raises(DataError, match="'p' has a list"):
        store.write([({"f": 1}, {"p": []})], task=0, generation=1)


def test_a_name_that_is_no_file_name_works(tmp_path: Path) -> None:
    for name in ("a/b", "..", "ü" * 300, "x\\ y%"):
        store = OffsetStore(tmp_path, name)
        store.write([({"f": "\udcff"}, {"p": 1})], task=0, generation=1)
        assert store.offset({"f": "\udcff"}) == {"p": 1}
        assert Path(store.path).parent == tmp_path / "offsets"
        store.close()


def test_a_store_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    (tmp_path / "offsets").write_text("in the way")
    with pytest.raises(StoreError, match=r"offsets/c\.db: "):
        OffsetStore(tmp_path, "c").write([({}, {"p": 1})], task=0, generation=1)


def test_the_smallest_known_batch_limit_counts(tmp_path: Path) -> None:
    store = OffsetStore(tmp_path, "c")
    store.limit_batch("a", 5000)
    store.limit_batch("b", 4000)
    assert store.batch_limit() == 4000
