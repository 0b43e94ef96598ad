"""From a source's batches to messages for the producer."""

from collections.abc import Sequence
from typing import Any

import msgspec

from engine.api.record import Headers, SourceBatch, SourceRecord
from engine.model.error_policy import Stage
from engine.task.column_bytes import column_bytes
from engine.task.task_plugins import TaskPlugins
from engine.task.tolerance import Failed, Judge

Message = dict[str, Any]


class Outgoing(msgspec.Struct):
    """Messages of one topic, in order.

    Attributes:
        messages: what the producer takes.
        is_plain: no message has headers or a timestamp.
        size: bytes of all keys and values.
        records: the record of each message, when they were asked for.
        dropped: records that were given up, when records were asked for.
    """

    topic: str
    messages: list[Message]
    is_plain: bool = True
    size: int = 0
    records: Sequence[SourceRecord] = ()
    dropped: list[SourceRecord] = msgspec.field(default_factory=list)


class SourceConversion:
    """Converts whole batches, and record by record what does not convert as a whole.

    Args:
        plugins: the task's converters.
        operator: decides about records that fail.
        keep_records: whether the records are wanted beside their messages.
    """

    def __init__(
        self,
        plugins: TaskPlugins,
        operator: Judge,
        *,
        keep_records: bool = False,
    ) -> None:
        self._plugins = plugins
        self._operator = operator
        self._keep_records = keep_records

    def convert(self, batch: SourceBatch) -> Outgoing:
        """The batch as messages.

        Raises:
            ToleranceExceededError: a record is bad and that is not allowed for.
        """
        if batch.headers is not None:  # converters may look at the headers, or add some
            return self._one_by_one(batch)
        plugins, topic = self._plugins, batch.topic
        try:
            values = plugins.value_converter.from_connect_batch(topic, batch.values)
            keys = None
            if batch.keys is not None:
                keys = plugins.key_converter.from_connect_batch(topic, batch.keys)
        except Exception:  # noqa: BLE001 (the same one at a time shows which record it is)
            return self._one_by_one(batch)
        size = column_bytes(values) + (0 if keys is None else column_bytes(keys))
        records = list(batch.records()) if self._keep_records else ()
        return Outgoing(
            topic,
            _messages(batch, values, keys),
            is_plain=batch.timestamps is None,
            size=size,
            records=records,
        )

    def _one_by_one(self, batch: SourceBatch) -> Outgoing:
        made = Outgoing(batch.topic, [], is_plain=False)
        records: list[SourceRecord] = []
        for record in batch.records():
            message = self._message(record)
            if message is None:
                made.dropped.append(record)
                continue
            records.append(record)
            made.messages.append(message)
            made.size += len(message["value"] or b"") + len(message["key"] or b"")
        made.records = records
        return made

    def _message(self, record: SourceRecord) -> Message | None:
        """The record as a message; None when it is given up."""
        plugins, topic, headers = self._plugins, record.topic, record.headers
        raw_headers = self._try(
            Stage.HEADER_CONVERTER,
            plugins.header_converter,
            lambda: self._headers(topic, headers),
            record,
        )
        if isinstance(raw_headers, Failed):
            return None
        key = self._try(
            Stage.KEY_CONVERTER,
            plugins.key_converter,
            lambda: plugins.key_converter.from_connect_data(
                topic, record.key_schema, record.key, headers
            ),
            record,
        )
        if isinstance(key, Failed):
            return None
        value = self._try(
            Stage.VALUE_CONVERTER,
            plugins.value_converter,
            lambda: plugins.value_converter.from_connect_data(
                topic, record.value_schema, record.value, headers
            ),
            record,
        )
        if isinstance(value, Failed):
            return None
        message: Message = {"value": value, "key": key}
        if raw_headers:
            message["headers"] = raw_headers
        if record.partition is not None:
            message["partition"] = record.partition
        if record.timestamp is not None:
            message["timestamp"] = record.timestamp
        return message

    def _headers(self, topic: str, headers: Headers) -> list[tuple[str, bytes | None]]:
        convert = self._plugins.header_converter.from_connect_header
        return [(name, convert(topic, name, h.schema, h.value)) for name, h in headers]

    def _try(self, stage: Stage, plugin: object, operation: Any, record: SourceRecord) -> Any:
        return self._operator.execute(stage, type(plugin), operation, record)


def _messages(
    batch: SourceBatch, values: Sequence[bytes | None], keys: Sequence[bytes | None] | None
) -> list[Message]:
    if batch.partitions is None and batch.timestamps is None:
        if keys is None:
            return [{"value": value} for value in values]
        return [{"value": v, "key": k} for v, k in zip(values, keys, strict=True)]
    messages: list[Message] = [{"value": value} for value in values]
    columns = (("key", keys), ("partition", batch.partitions), ("timestamp", batch.timestamps))
    for name, column in columns:
        if column is not None:
            for message, each in zip(messages, column, strict=True):
                if each is not None:
                    message[name] = each
    return messages
