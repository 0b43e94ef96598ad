"""What flows: columns of values in batches, and the single records they can be read as.

A batch is the unit of work everywhere. A connector that thinks in records returns and receives
:class:`SourceRecord` and :class:`SinkRecord`; the engine puts them into columns and takes them out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, overload

from engine.api.schema import Schema

Headers = Sequence[tuple[str, "SchemaAndValue"]]
"""Headers of one record, in order; names may repeat."""

Partition = Mapping[str, Any]
"""A source partition: what is read, as a flat map of primitives (``{"filename": "a.log"}``)."""

Offset = Mapping[str, Any]
"""A source offset: how far it is read, as a flat map of primitives (``{"position": 17}``)."""


class SchemaAndValue(NamedTuple):
    """A value with its schema; ``schema`` is None for schemaless data."""

    schema: Schema | None
    value: Any


class TopicPartition(NamedTuple):
    """A partition of a Kafka topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


class Column(Sequence[Any]):
    """The keys or the values of a batch, with one schema for all or one for each.

    Attributes:
        data: the values, one per record.
        schema: the schema of every value; None for schemaless data.
        schemas: one schema per record, only when they differ; ``schema`` is then None.
        utf8: the values are strings that are held as their UTF-8 bytes, so that text which comes
            as bytes and leaves as bytes is never decoded. Reading an element decodes it.
    """

    __slots__ = ("data", "schema", "schemas", "utf8")

    def __init__(
        self,
        data: Sequence[Any],
        schema: Schema | None = None,
        *,
        schemas: Sequence[Schema | None] | None = None,
        utf8: bool = False,
    ) -> None:
        self.data = data
        self.schema = schema
        self.schemas = schemas
        self.utf8 = utf8

    def __len__(self) -> int:
        return len(self.data)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> "Column": ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            schemas = None if self.schemas is None else self.schemas[index]
            return Column(self.data[index], self.schema, schemas=schemas, utf8=self.utf8)
        value = self.data[index]
        return value.decode("utf-8", "replace") if self.utf8 and value is not None else value

    def __iter__(self) -> Iterator[Any]:
        if not self.utf8:
            return iter(self.data)
        return (None if v is None else v.decode("utf-8", "replace") for v in self.data)

    def schema_of(self, index: int) -> Schema | None:
        """The schema of one value."""
        return self.schema if self.schemas is None else self.schemas[index]


def column_of(pairs: Sequence[SchemaAndValue]) -> Column:
    """A column of single values; it has one schema when theirs are equal."""
    data = [pair.value for pair in pairs]
    first = pairs[0].schema if pairs else None
    if all(pair.schema is first or pair.schema == first for pair in pairs):
        return Column(data, first)
    return Column(data, schemas=[pair.schema for pair in pairs])


@dataclass(slots=True)
class SourceRecord:
    """One record that a source has read (upstream: ``SourceRecord``).

    Attributes:
        source_partition: what it was read from; None for a source without offsets.
        source_offset: where to go on after it.
        topic: the Kafka topic it is for.
        partition: the Kafka partition, or None to let the partitioner choose.
        timestamp: milliseconds since the epoch, or None for the time of sending.
    """

    source_partition: Partition | None
    source_offset: Offset | None
    topic: str
    value: Any = None
    value_schema: Schema | None = None
    key: Any = None
    key_schema: Schema | None = None
    partition: int | None = None
    timestamp: int | None = None
    headers: Headers = ()


@dataclass(slots=True)
class SourceBatch:
    """Records of one topic and one source partition, as columns.

    ``keys``, ``headers``, ``timestamps`` and ``partitions`` are None when no record has any; else
    they are as long as ``values``.

    Attributes:
        source_offset: where to go on after the whole batch; None for a source without offsets.
        source_offsets: where to go on after each record, when the source knows.
    """

    topic: str
    values: Column
    source_partition: Partition | None = None
    source_offset: Offset | None = None
    keys: Column | None = None
    headers: Sequence[Headers] | None = None
    timestamps: Sequence[int | None] | None = None
    partitions: Sequence[int | None] | None = None
    source_offsets: Sequence[Offset | None] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def records(self) -> Iterator[SourceRecord]:
        """The same, one record at a time."""
        keys, values = self.keys, self.values
        for i, value in enumerate(values):
            yield SourceRecord(
                source_partition=self.source_partition,
                source_offset=self.source_offsets[i] if self.source_offsets else self.source_offset,
                topic=self.topic,
                value=value,
                value_schema=values.schema_of(i),
                key=None if keys is None else keys[i],
                key_schema=None if keys is None else keys.schema_of(i),
                partition=None if self.partitions is None else self.partitions[i],
                timestamp=None if self.timestamps is None else self.timestamps[i],
                headers=() if self.headers is None else self.headers[i],
            )

    @staticmethod
    def of(records: Iterable[SourceRecord]) -> "list[SourceBatch]":
        """Batches of these records: order is kept, neighbours of one kind share a batch."""
        batches: list[SourceBatch] = []
        run: list[SourceRecord] = []
        for record in records:
            if run and not _same_run(run[-1], record):
                batches.append(_batch(run))
                run = []
            run.append(record)
        if run:
            batches.append(_batch(run))
        return batches


def _same_run(a: SourceRecord, b: SourceRecord) -> bool:
    return a.topic == b.topic and a.source_partition == b.source_partition


def _batch(run: Sequence[SourceRecord]) -> SourceBatch:
    """One batch of records that share topic and source partition."""
    any_key = any(r.key is not None or r.key_schema is not None for r in run)
    return SourceBatch(
        topic=run[0].topic,
        values=column_of([SchemaAndValue(r.value_schema, r.value) for r in run]),
        source_partition=run[0].source_partition,
        source_offset=run[-1].source_offset,
        keys=column_of([SchemaAndValue(r.key_schema, r.key) for r in run]) if any_key else None,
        headers=[r.headers for r in run] if any(r.headers for r in run) else None,
        timestamps=_unless_all_none([r.timestamp for r in run]),
        partitions=_unless_all_none([r.partition for r in run]),
        source_offsets=[r.source_offset for r in run],
    )


def _unless_all_none(column: list[int | None]) -> list[int | None] | None:
    return None if all(v is None for v in column) else column


@dataclass(slots=True)
class SinkRecord:
    """One record for a sink (upstream: ``SinkRecord``).

    Attributes:
        offset: its Kafka offset (upstream: ``kafkaOffset``).
        timestamp: milliseconds since the epoch, None when the topic has none.
        timestamp_type: ``CreateTime``, ``LogAppendTime`` or ``NoTimestampType``.
        origin: what the engine made it from, for its dead letters; ``dataclasses.replace`` keeps it
            and so should whoever copies a record otherwise.
    """

    topic: str
    partition: int
    offset: int
    value: Any = None
    value_schema: Schema | None = None
    key: Any = None
    key_schema: Schema | None = None
    timestamp: int | None = None
    timestamp_type: str = "CreateTime"
    headers: Headers = ()
    origin: Any = field(default=None, repr=False, compare=False)


class Position(NamedTuple):
    """Where a record stands in Kafka."""

    topic: str
    partition: int
    offset: int


class Timestamp(NamedTuple):
    """A record's time: ``CreateTime``, ``LogAppendTime`` or ``NoTimestampType``, milliseconds."""

    type: str
    milliseconds: int | None


class SinkBatch:
    """Records for a sink, of any topics and partitions, as columns of one length.

    Each argument but ``values`` may be the column itself or a function that makes it on first use,
    so that a sink which reads the values only pays for nothing else. ``origins`` are for
    :attr:`SinkRecord.origin`.
    """

    def __init__(
        self,
        values: Column,
        *,
        positions: Sequence[Position] | Callable[[], Sequence[Position]],
        keys: Column | Callable[[], Column] | None = None,
        headers: Sequence[Headers] | Callable[[], Sequence[Headers]] | None = None,
        timestamps: Sequence[Timestamp] | Callable[[], Sequence[Timestamp]] | None = None,
        origins: Sequence[Any] | None = None,
    ) -> None:
        self.values = values
        self.origins = origins
        self._keys = keys
        self._headers = headers
        self._positions = positions
        self._timestamps = timestamps

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def keys(self) -> Column:
        """The keys."""
        if self._keys is None:
            return Column([None] * len(self))
        return self._keys() if callable(self._keys) else self._keys

    @cached_property
    def headers(self) -> Sequence[Headers]:
        """The headers of each record."""
        if self._headers is None:
            return [()] * len(self)
        return self._headers() if callable(self._headers) else self._headers

    @cached_property
    def positions(self) -> Sequence[Position]:
        """Topic, partition and offset of each record."""
        return self._positions() if callable(self._positions) else self._positions

    @cached_property
    def timestamps(self) -> Sequence[Timestamp]:
        """Type and milliseconds of each record's time."""
        if self._timestamps is None:
            return [Timestamp("NoTimestampType", None)] * len(self)
        return self._timestamps() if callable(self._timestamps) else self._timestamps

    def part(self, start: int, stop: int) -> "SinkBatch":
        """The records from ``start`` up to ``stop``, not included."""
        return SinkBatch(
            self.values[start:stop],
            positions=lambda: self.positions[start:stop],
            keys=lambda: self.keys[start:stop],
            headers=lambda: self.headers[start:stop],
            timestamps=lambda: self.timestamps[start:stop],
            origins=None if self.origins is None else self.origins[start:stop],
        )

    def records(self) -> Iterator[SinkRecord]:
        """The same, one record at a time."""
        keys, values, origins = self.keys, self.values, self.origins
        columns = zip(values, keys, self.headers, self.positions, self.timestamps, strict=True)
        for i, (value, key, headers, position, timestamp) in enumerate(columns):
            yield SinkRecord(
                *position,
                value=value,
                value_schema=values.schema_of(i),
                key=key,
                key_schema=keys.schema_of(i),
                timestamp=timestamp.milliseconds,
                timestamp_type=timestamp.type,
                headers=headers,
                origin=None if origins is None else origins[i],
            )
