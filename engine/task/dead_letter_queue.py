"""Keeps every record that was given up, before its offset is committed.

Imported only where a connector keeps dead letters.
"""

import traceback
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from engine.api.record import SinkRecord, SourceRecord
from engine.kafka.fetch import raw_record
from engine.model.error_policy import Stage
from engine.model.letters.dead_letter import DeadLetter, RawRecord, shorten_trace
from engine.model.task_id import TaskId
from engine.task.record_quarantine import PoisonRecordError
from engine.task.source_envelope import SourceEnvelopes
from engine.task.task_plugins import TaskPlugins
from engine.task.tolerance import RecordFailure


class DeadLetterQueue:
    """Makes letters of failures (upstream: ``DeadLetterQueueReporter``).

    Args:
        task: whose records fail.
        plugins: its converters bring back to bytes what has no origin.
        keep: takes a letter.
    """

    def __init__(
        self, task: TaskId, plugins: TaskPlugins, keep: Callable[[DeadLetter], None]
    ) -> None:
        self._task = task
        self._plugins = plugins
        self._envelopes = SourceEnvelopes(task.connector)
        self._place: Any = None
        self._occurrences: Counter[tuple[Stage, bytes | None]] = Counter()
        self._keep = keep

    def report(self, failure: RecordFailure) -> None:
        """Keep the record of a failure."""
        error, record = failure.error, self._raw(failure)
        trace = "".join(traceback.format_exception(error))
        message = str(error)
        self._keep(
            DeadLetter(
                connector=self._task.connector,
                task=self._task.task,
                stage=failure.stage,
                executing=_name(failure.executing),
                exception=_name(type(error)),
                message=_clean(message) if message else None,
                stacktrace=_clean(shorten_trace(trace)),
                attempts=failure.attempts,
                failed_ms=int(datetime.now(UTC).timestamp() * 1000),
                record=record,
                occurrence=self._occurrence(failure.stage, record),
            )
        )

    def _occurrence(self, stage: Stage, record: RawRecord) -> int:
        """How many equal records of the same offset have failed so before: lines may be equal."""
        if record.offset is not None:
            return 0
        place = (record.source_partition, record.source_offset)
        if place != self._place:
            self._place = place
            self._occurrences.clear()
        self._occurrences[stage, record.value] += 1
        return self._occurrences[stage, record.value] - 1

    def _raw(self, failure: RecordFailure) -> RawRecord:
        """What is kept of a record."""
        record, before = failure.record, failure.stage
        if isinstance(record, SinkRecord):
            return self._consumed(record) if record.origin is None else raw_record(record.origin)
        if isinstance(record, SourceRecord):
            if isinstance(
                failure.error, PoisonRecordError
            ):  # wherever it was: this is its beginning
                before = Stage.TRANSFORMATION
            return _in_envelope(record, self._envelopes.of_record(record, before))
        raw = record if isinstance(record, RawRecord) else RawRecord("")  # a poll knows no more
        if raw.offset is not None:
            return raw
        return _in_envelope(raw, self._envelopes.of_bytes(raw, before))

    def _consumed(self, record: SinkRecord) -> RawRecord:
        """A record that the task has made itself, converted back as well as possible."""
        return RawRecord(
            record.topic,
            key=_back(self._plugins.key_converter, record.topic, record.key_schema, record.key),
            value=_back(
                self._plugins.value_converter, record.topic, record.value_schema, record.value
            ),
            partition=record.partition,
            offset=record.offset,
            timestamp=record.timestamp,
        )


def _in_envelope(record: SourceRecord | RawRecord, envelope: bytes) -> RawRecord:
    return RawRecord(
        record.topic,
        value=envelope,
        timestamp=record.timestamp,
        source_partition=record.source_partition,
        source_offset=record.source_offset,
    )


def _back(converter: Any, topic: str, schema: Any, value: Any) -> bytes | None:
    try:
        found: bytes | None = converter.from_connect_data(topic, schema, value)
    except Exception:  # noqa: BLE001 (it may be bad in just this way)
        return _clean(repr(value)).encode()
    return found


def _name(kind: type) -> str:
    is_pythons = kind.__module__ == "builtins"
    return kind.__qualname__ if is_pythons else f"{kind.__module__}.{kind.__qualname__}"


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
