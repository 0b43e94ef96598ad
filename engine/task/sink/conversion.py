"""From consumed messages to a sink's batch."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from engine.api.converter import Converter, HeaderConverter
from engine.api.record import (
    Column,
    Headers,
    SchemaAndValue,
    SinkBatch,
    SinkRecord,
    column_of,
)  # fmt: skip
from engine.api.schema import OPTIONAL_STRING
from engine.kafka.fetch import Fetch
from engine.model.error_policy import Stage
from engine.model.letters.context import REPLAY_PREFIX
from engine.model.slot import Slot
from engine.task.column_bytes import column_bytes
from engine.task.sink.batch import batch_of, size_of
from engine.task.task_plugins import TaskPlugins
from engine.task.tolerance import Failed, RetryWithToleranceOperator
from engine.task.transformation_chain import BEAT_EVERY


class SinkConversion:
    """Converts whole fetches, and record by record what does not convert as a whole.

    Args:
        plugins: the task's converters and transformations.
        operator: decides about records that fail.
        slot: where filtered records are counted.
        topic: the only topic that can come, None when there may be several.
    """

    def __init__(
        self,
        plugins: TaskPlugins,
        operator: RetryWithToleranceOperator,
        slot: Slot,
        topic: str | None,
    ) -> None:
        self._plugins = plugins
        self._operator = operator
        self._slot = slot
        self._topic = topic
        self.kept_bytes = 0

    def convert(self, fetch: Fetch) -> SinkBatch:
        """The fetch as a batch.

        Raises:
            ToleranceExceededError: a record is bad and that is not allowed for.
        """
        values = fetch.values()
        size = column_bytes(values)
        self._slot.add("bytes_in", size)
        batch = self._converted(fetch, values)
        self.kept_bytes = size if len(batch) == len(values) else size_of(batch)
        return batch

    def _converted(self, fetch: Fetch, values: Sequence[bytes | None]) -> SinkBatch:
        try:
            batch = self._whole(fetch, values)
        except Exception:  # noqa: BLE001 (the same one at a time shows which record it is)
            return self._one_by_one(fetch)
        if self._plugins.transformations:
            return self._transformed(list(batch.records()))
        return batch

    def _whole(self, fetch: Fetch, raw: Sequence[bytes | None]) -> SinkBatch:
        plugins = self._plugins
        topics = None if self._topic is not None else fetch.topics()
        return SinkBatch(
            self._column(plugins.value_converter, topics, raw),
            positions=fetch.positions,
            keys=self._keys(fetch, topics),
            headers=self._headers(fetch),
            timestamps=fetch.timestamps,
            origins=fetch.messages,
        )

    def _keys(self, fetch: Fetch, topics: Sequence[str] | None) -> Column | Callable[[], Column]:
        """The keys; on first use, where nothing can be wrong with them."""
        converter = self._plugins.key_converter
        if converter.takes_anything:
            return lambda: self._column(converter, topics, fetch.keys())
        keys = fetch.keys()
        convert = partial(self._column, converter, topics, keys)
        return convert if keys.count(None) == len(keys) else convert()

    def _headers(self, fetch: Fetch) -> list[Headers] | Callable[[], list[Headers]] | None:
        """The headers; on first use, where nothing can be wrong with them."""
        if self._plugins.header_converter.takes_anything:
            return partial(self._all_headers, fetch)
        return self._all_headers(fetch) if fetch.has_headers() else None

    def _column(
        self, converter: Converter, topics: Sequence[str] | None, raw: Sequence[bytes | None]
    ) -> Column:
        """Convert a column; records of different topics are converted apart."""
        if topics is None:
            return converter.to_connect_batch(self._topic or "", raw)
        if topics.count(topics[0]) == len(topics):
            return converter.to_connect_batch(topics[0], raw)
        found: dict[str, list[int]] = {}
        for index, topic in enumerate(topics):
            found.setdefault(topic, []).append(index)
        pairs: list[SchemaAndValue] = [SchemaAndValue(None, None)] * len(raw)
        for topic, indexes in found.items():
            column = converter.to_connect_batch(topic, [raw[i] for i in indexes])
            for at, index in enumerate(indexes):
                pairs[index] = SchemaAndValue(column.schema_of(at), column[at])
        return column_of(pairs)

    def _all_headers(self, fetch: Fetch) -> list[Headers]:
        convert = self._plugins.header_converter
        return [
            _headers(convert, topic, each) if each else ()
            for topic, each in zip(fetch.topics(), fetch.headers(), strict=True)
        ]

    def _one_by_one(self, fetch: Fetch) -> SinkBatch:
        records = []
        bodies = zip(fetch.keys(), fetch.values(), fetch.headers(), strict=True)
        places = zip(fetch.positions(), fetch.timestamps(), fetch.messages, strict=True)
        for (key, value, headers), (position, timestamp, message) in zip(
            bodies, places, strict=True
        ):
            raw = SinkRecord(
                *position,
                value=value,
                key=key,
                timestamp=timestamp.milliseconds,
                timestamp_type=timestamp.type,
                origin=message,
            )
            record = self._record(raw, headers)
            if record is not None:
                self._operator.passed()
                records.append(record)
        return self._transformed(records)

    def _record(
        self, raw: SinkRecord, raw_headers: Sequence[tuple[str, bytes | None]]
    ) -> SinkRecord | None:
        """The record with its parts converted; None when it is given up."""
        plugins, topic = self._plugins, raw.topic
        parts: dict[Stage, Any] = {}
        steps: Mapping[Stage, tuple[object, Any]] = {
            Stage.KEY_CONVERTER: (
                plugins.key_converter,
                lambda: plugins.key_converter.to_connect_data(topic, raw.key),
            ),
            Stage.VALUE_CONVERTER: (
                plugins.value_converter,
                lambda: plugins.value_converter.to_connect_data(topic, raw.value),
            ),
            Stage.HEADER_CONVERTER: (
                plugins.header_converter,
                lambda: _headers(plugins.header_converter, topic, raw_headers),
            ),
        }
        for stage, (plugin, operation) in steps.items():
            parts[stage] = self._operator.execute(stage, type(plugin), operation, raw)
            if isinstance(parts[stage], Failed):
                return None
        key, value = parts[Stage.KEY_CONVERTER], parts[Stage.VALUE_CONVERTER]
        return SinkRecord(
            topic,
            raw.partition,
            raw.offset,
            value=value.value,
            value_schema=value.schema,
            key=key.value,
            key_schema=key.schema,
            timestamp=raw.timestamp,
            timestamp_type=raw.timestamp_type,
            headers=parts[Stage.HEADER_CONVERTER],
            origin=raw.origin,
        )

    def _transformed(self, records: Sequence[SinkRecord]) -> SinkBatch:
        chain = self._plugins.transformations
        if not chain:
            return batch_of(records)
        kept = []
        for number, record in enumerate(records):
            if not number % BEAT_EVERY:
                self._slot.enter("transform", time.monotonic_ns())
            self._slot.mark(record.partition, record.offset)
            changed = chain.apply(record, self._operator)
            if changed is None:
                self._slot.add("records_filtered", 1)
            elif not isinstance(changed, Failed):
                kept.append(changed)
        return batch_of(kept)


def _headers(
    converter: HeaderConverter, topic: str, raw: Sequence[tuple[str, bytes | None]]
) -> Headers:
    convert = converter.to_connect_header
    return [
        (name, _marker(value) if name.startswith(REPLAY_PREFIX) else convert(topic, name, value))
        for name, value in raw
    ]


def _marker(value: bytes | None) -> SchemaAndValue:
    """A replay's mark: a strict converter would refuse it, and so the record that was mended."""
    text = None if value is None else value.decode("utf-8", "replace")
    return SchemaAndValue(OPTIONAL_STRING, text)
