"""A source's record as bytes that can be kept, looked at and sent again: one JSON object.

::

    {"envelope": "engine.source-record.v1",
     "topic": "people", "partition": null, "timestamp": null,
     "source_partition": {"filename": "people.csv"}, "source_offset": {"position": 17},
     "key": FIELD, "value": FIELD, "headers": [{"name": "h", "value": FIELD}]}

A FIELD is ``{"connect": {"schema": …, "payload": …}}`` for a value with its schema, as
JsonConverter writes it; ``{"base64": …}`` for bytes as they were going to Kafka; and
``{"text": …, "type": …}`` for what Connect has no schema for, which may be why the record failed.
"""

import base64
from typing import Any, Final

import msgspec

from engine.api.record import SourceRecord
from engine.api.schema import Schema
from engine.converters.json import JsonConverter
from engine.model.dead_letter import RawRecord

ENVELOPE: Final = "engine.source-record.v1"
_NULL: Final = {"connect": {"schema": None, "payload": None}}


class SourceEnvelopes:
    """Puts records into envelopes."""

    def __init__(self) -> None:
        self._converter = JsonConverter()
        self._converter.configure({"schemas.enable": "true"}, is_key=False)

    def of_record(self, record: SourceRecord) -> bytes:
        """The envelope of a record as the task or a transformation made it."""
        return _json(
            record,
            key=self._field(record.key_schema, record.key),
            value=self._field(record.value_schema, record.value),
            headers=[
                {"name": name, "value": self._field(header.schema, header.value)}
                for name, header in record.headers
            ],
        )

    @staticmethod
    def of_bytes(record: RawRecord) -> bytes:
        """The envelope of a record that was converted already."""
        return _json(
            record,
            key=_bytes_field(record.key),
            value=_bytes_field(record.value),
            headers=[{"name": name, "value": _bytes_field(raw)} for name, raw in record.headers],
        )

    def _field(self, schema: Schema | None, value: Any) -> object:
        try:
            converted = self._converter.from_connect_data("", schema, value)
        except Exception:  # noqa: BLE001 (the converter knows Connect's values only)
            return {"text": _clean(repr(value)), "type": _type_name(value)}
        return _NULL if converted is None else {"connect": msgspec.Raw(converted)}


def _json(record: SourceRecord | RawRecord, **fields: object) -> bytes:
    return msgspec.json.encode(
        {
            "envelope": ENVELOPE,
            "topic": record.topic,
            "partition": record.partition,
            "timestamp": record.timestamp,
            "source_partition": record.source_partition,
            "source_offset": record.source_offset,
            **fields,
        },
        enc_hook=lambda value: _clean(repr(value)),
    )


def _bytes_field(raw: bytes | None) -> object:
    return _NULL if raw is None else {"base64": base64.b64encode(raw).decode()}


def _type_name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
