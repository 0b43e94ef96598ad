"""A dead letter: a record that was given up, and why. Nothing here does I/O.

A sink's letter holds the record as it was consumed. A source's holds, as its value, an envelope
(:mod:`engine.task.source_envelope`) with the record as it was when the stage began that failed.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

RawHeaders = Sequence[tuple[str, bytes | None]]

_LONGEST_TRACE: Final = 16 * 1024


class RawRecord(msgspec.Struct, frozen=True):
    """A record as Kafka has it, had it or was to have it.

    Attributes:
        partition: None when nobody had chosen one yet.
        offset: None for a record that is not in Kafka.
        timestamp: milliseconds since the epoch.
        source_partition: where a source has read it, when that is known.
        source_offset: where that source goes on after it.
    """

    topic: str
    key: bytes | None = None
    value: bytes | None = None
    headers: RawHeaders = ()
    partition: int | None = None
    offset: int | None = None
    timestamp: int | None = None
    source_partition: Mapping[str, Any] | None = None
    source_offset: Mapping[str, Any] | None = None

    @property
    def size(self) -> int:
        """Bytes of key and value."""
        return len(self.key or b"") + len(self.value or b"")


class DeadLetter(msgspec.Struct, frozen=True):
    """A record that was given up. In a topic a letter may say less than it was known to be.

    Attributes:
        connector: whose record it was.
        task: number of the task.
        stage: where it failed (:class:`engine.model.error_policy.Stage`).
        executing: full name of the class that failed.
        exception: full name of the exception's class.
        message: the exception's; None when it has none.
        stacktrace: the end of it when it is long.
        attempts: how often the record was tried.
        failed_ms: when, milliseconds since the epoch.
        record: what is kept; for a source, ``topic`` is where the record was to go.
        occurrence: how many equal records of the same source offset have failed before this one;
            a part of the id only.
    """

    connector: str | None
    task: int | None
    stage: str | None
    executing: str | None
    exception: str | None
    message: str | None
    stacktrace: str | None
    attempts: int | None
    failed_ms: int | None
    record: RawRecord
    occurrence: int = 0

    @property
    def id(self) -> str:
        """The same for the same failure of the same record, however often it is met again."""
        record = self.record
        if record.offset is not None:
            return f"{record.topic}-{record.partition}@{record.offset} {self.stage}"
        known = [record.topic, record.source_partition, record.source_offset, self.occurrence]
        if record.source_partition is None:  # nobody knows where it was read
            known.append(self.message)
        digest = hashlib.sha256(json.dumps(known, sort_keys=True, default=repr).encode())
        for part in (record.key, record.value):
            digest.update(b"\0" if part is None else b"\1" + part)
        return f"{digest.hexdigest()[:32]} {self.stage}"


def shorten_trace(text: str) -> str:
    """The end of a stack trace, where it says what happened; a header is no place for more."""
    return text if len(text) <= _LONGEST_TRACE else f"…\n{text[-_LONGEST_TRACE:]}"
