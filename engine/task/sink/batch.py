"""What the loop needs of a sink's batch beyond its columns: the messages that it was made from."""

from collections.abc import Sequence

from engine.api.record import (
    Position,
    SchemaAndValue,
    SinkBatch,
    SinkRecord,
    Timestamp,
    TopicPartition,
    column_of,
)  # fmt: skip
from engine.task.column_bytes import column_bytes


def batch_of(records: Sequence[SinkRecord]) -> SinkBatch:
    """A batch of single records."""
    return SinkBatch(
        column_of([SchemaAndValue(r.value_schema, r.value) for r in records]),
        positions=[Position(r.topic, r.partition, r.offset) for r in records],
        keys=column_of([SchemaAndValue(r.key_schema, r.key) for r in records]),
        headers=[r.headers for r in records],
        timestamps=[Timestamp(r.timestamp_type, r.timestamp) for r in records],
        origins=[r.origin for r in records],
    )


def without(batch: SinkBatch, partitions: frozenset[TopicPartition]) -> SinkBatch:
    """The batch without what was read from these partitions, whatever its topics are called now."""
    return batch_of([r for r in batch.records() if _read_from(r) not in partitions])


def size_of(batch: SinkBatch) -> int:
    """Bytes of the values as they were read; records without an origin count nothing."""
    return column_bytes([None if o is None else o.value() for o in batch.origins or ()])


def span_of(batch: SinkBatch) -> str:
    """From where to where it reaches; empty for an empty batch."""
    if not len(batch):
        return ""
    first, last = batch.positions[0], batch.positions[-1]
    return (
        f"{first.topic}-{first.partition}@{first.offset} to "
        f"{last.topic}-{last.partition}@{last.offset}, {len(batch)} records"
    )


def _read_from(record: SinkRecord) -> TopicPartition:
    message = record.origin
    if message is None:
        return TopicPartition(record.topic, record.partition)
    return TopicPartition(message.topic(), message.partition())
