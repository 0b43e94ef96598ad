"""From a source's batches to messages."""

import mmap
from collections.abc import Sequence
from typing import Any

import pytest

from engine.api import (
    STRING,
    Column,
    Converter,
    DataError,
    Headers,
    Schema,
    SchemaAndValue,
    SourceBatch,
    SourceRecord,
    ToleranceExceededError,
)  # fmt: skip
from engine.converters.simple_header import SimpleHeaderConverter
from engine.model.error_policy import error_policy
from engine.model.slot import SLOT_BYTES, Slot
from engine.task.source.conversion import SourceConversion
from engine.task.task_plugins import TaskPlugins
from engine.task.tolerance import RetryWithToleranceOperator


class UpperConverter(Converter):
    """Text as upper-case bytes; counts how it was called."""

    def __init__(self) -> None:
        self.batches = 0
        self.singles = 0

    def from_connect_data(
        self, topic: str, schema: Schema | None, value: Any, headers: Headers = ()
    ) -> bytes | None:
        self.singles += 1
        if value == "bad":
            raise DataError("bad value")
        return None if value is None else str(value).upper().encode()

    def from_connect_batch(self, topic: str, column: Column) -> Sequence[bytes | None]:
        self.batches += 1
        if "bad" in column.data:
            raise ValueError("somewhere in here")
        return [None if value is None else str(value).upper().encode() for value in column]

    def to_connect_data(
        self, topic: str, value: bytes | None, headers: Headers = ()
    ) -> SchemaAndValue:
        raise NotImplementedError


class Bench:
    def __init__(self, tolerance: str = "none", *, keep_records: bool = False) -> None:
        self.key, self.value = UpperConverter(), UpperConverter()
        header = SimpleHeaderConverter()
        header.configure({})
        policy = error_policy({}, {"errors.tolerance": tolerance})
        self.slot = Slot(memoryview(mmap.mmap(-1, SLOT_BYTES)))
        plugins = TaskPlugins(self.key, self.value, header, errors=policy)
        operator = RetryWithToleranceOperator(policy, self.slot, lambda _: True)
        self.conversion = SourceConversion(plugins, operator, keep_records=keep_records)


def test_a_batch_of_values_is_converted_as_a_whole() -> None:
    bench = Bench()
    made = bench.conversion.convert(SourceBatch("t", Column(["a", "bc", None])))
    assert made.messages == [{"value": b"A"}, {"value": b"BC"}, {"value": None}]
    assert (made.topic, made.is_plain, made.size) == ("t", True, 3)
    assert (bench.value.batches, bench.value.singles, bench.key.batches) == (1, 0, 0)


def test_keys_partitions_and_timestamps_go_with_their_values() -> None:
    batch = SourceBatch("t", Column(["a", "b"]), keys=Column(["k", None]))
    keyed = Bench().conversion.convert(batch)
    assert keyed.messages == [{"value": b"A", "key": b"K"}, {"value": b"B", "key": None}]
    assert keyed.size == 3
    batch.partitions, batch.timestamps = [None, 3], [17, None]
    made = Bench().conversion.convert(batch)
    assert made.messages == [
        {"value": b"A", "key": b"K", "timestamp": 17},
        {"value": b"B", "partition": 3},
    ]
    assert not made.is_plain


def test_headers_are_converted_record_by_record() -> None:
    headers = (("h", SchemaAndValue(STRING, "x")),)
    batch = SourceBatch("t", Column(["a", "b"]), headers=[headers, ()])
    made = Bench().conversion.convert(batch)
    assert made.messages == [
        {"value": b"A", "key": None, "headers": [("h", b"x")]},
        {"value": b"B", "key": None},
    ]


def test_a_batch_that_does_not_convert_is_tried_record_by_record() -> None:
    bench = Bench("all")
    made = bench.conversion.convert(SourceBatch("t", Column(["a", "bad", "b"])))
    assert [message["value"] for message in made.messages] == [b"A", b"B"]
    assert [record.value for record in made.dropped] == ["bad"]
    assert (bench.value.batches, bench.slot["records_skipped"]) == (1, 1)


def test_a_bad_record_is_told_when_it_is_not_tolerated() -> None:
    with pytest.raises(ToleranceExceededError, match="VALUE_CONVERTER: bad value"):
        Bench().conversion.convert(SourceBatch("t", Column(["a", "bad"])))


def test_records_stand_beside_their_messages_where_they_are_wanted() -> None:
    bench = Bench("all", keep_records=True)
    records = [SourceRecord(None, None, "t", value=value) for value in ("a", "bad", "b")]
    (batch,) = SourceBatch.of(records)
    made = bench.conversion.convert(batch)
    assert [record.value for record in made.records] == ["a", "b"]
    (batch,) = SourceBatch.of(records[:1])
    assert [record.value for record in bench.conversion.convert(batch).records] == ["a"]
