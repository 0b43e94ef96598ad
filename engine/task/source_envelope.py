"""A source's record as bytes that can be kept, looked at, changed and sent again: a JSON object.

::

    {"envelope": "engine.source-record.v1", "connector": "csv", "before": "TRANSFORMATION",
     "topic": "people", "partition": null, "timestamp": null,
     "source_partition": {"filename": "people.csv"}, "source_offset": {"position": 17},
     "key": FIELD, "value": FIELD, "headers": [{"name": "h", "value": FIELD}]}

A FIELD is ``{"connect": {"schema": …, "payload": …}}`` for a value with its schema, as
JsonConverter writes it; ``{"base64": …}`` for bytes; and ``{"text": …, "type": …}`` for what
Connect has no schema for, which may be why the record failed. Beside ``connect``, too, ``type``
says that JSON could not hold the value as it was. ``before`` is the stage that is to come first
when the record is sent again.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from engine.api.errors import ConnectError
from engine.api.record import SchemaAndValue, SourceRecord
from engine.api.schema import Schema
from engine.converters.json import JsonConverter
from engine.model.letters.dead_letter import RawRecord

ENVELOPE: Final = "engine.source-record.v1"
_NULL: Final[dict[str, Any]] = {"connect": {"schema": None, "payload": None}}


class EnvelopeError(ConnectError):
    """A record cannot be taken out of its envelope; the text says why."""


class SourceEnvelopes:
    """Puts records into envelopes and takes them out.

    Args:
        connector: whose records they are.
    """

    def __init__(self, connector: str | None = None) -> None:
        self._connector = connector
        self._converter = JsonConverter()
        exact = {"schemas.enable": "true", "replace.null.with.default": "false"}
        self._converter.configure(exact, is_key=False)

    def of_record(self, record: SourceRecord, before: str | None = None) -> bytes:
        """The envelope of a record as the task or a transformation made it."""
        return self._json(
            record,
            before,
            key=self.field_of(record.key_schema, record.key),
            value=self.field_of(record.value_schema, record.value),
            headers=[
                {"name": name, "value": self.field_of(header.schema, header.value)}
                for name, header in record.headers
            ],
        )

    def of_bytes(self, record: RawRecord, before: str | None = None) -> bytes:
        """The envelope of a record that was converted already."""
        return self._json(
            record,
            before,
            key=bytes_field(record.key),
            value=bytes_field(record.value),
            headers=[{"name": name, "value": bytes_field(raw)} for name, raw in record.headers],
        )

    def record_in(self, envelope: Mapping[str, Any]) -> SourceRecord:
        """The record that was put into an envelope by :meth:`of_record`.

        Raises:
            EnvelopeError: something in it was not kept as it was.
        """
        key, value = (self.value_in(envelope[name], name) for name in ("key", "value"))
        return SourceRecord(
            envelope.get("source_partition"),
            envelope.get("source_offset"),
            envelope["topic"],
            key=key.value,
            key_schema=key.schema,
            value=value.value,
            value_schema=value.schema,
            partition=envelope.get("partition"),
            timestamp=envelope.get("timestamp"),
            headers=[
                (each["name"], self.value_in(each["value"], f"header {each['name']}"))
                for each in envelope["headers"]
            ],
        )

    def value_in(self, field: Mapping[str, Any], what: str) -> SchemaAndValue:
        """The value in a field.

        Raises:
            EnvelopeError: it was not kept as it was, or the field holds none.
        """
        if "type" in field:
            raise EnvelopeError(f"its {what} was a {field['type']}, which JSON does not keep")
        if "base64" in field:
            return SchemaAndValue(None, base64.b64decode(field["base64"]))
        try:
            return self._converter.to_connect_data("", msgspec.json.encode(field["connect"]))
        except (ConnectError, KeyError, TypeError, ValueError) as error:
            raise EnvelopeError(f"its {what} cannot be read: {error}") from error

    def field_of(self, schema: Schema | None, value: Any) -> dict[str, Any]:
        """A field with a value."""
        if schema is None and isinstance(value, (bytes, bytearray, memoryview)):
            return bytes_field(bytes(value))
        try:
            converted = self._converter.from_connect_data("", schema, value)
            if converted is None:
                return _NULL
            is_same = self._converter.to_connect_data("", converted) == (schema, value)
        except Exception:  # noqa: BLE001 (the converter knows Connect's values only)
            return {"text": _clean(repr(value)), "type": _type_name(value)}
        field: dict[str, Any] = {"connect": msgspec.Raw(converted)}
        return field if is_same else field | {"type": _type_name(value)}

    def _json(
        self, record: SourceRecord | RawRecord, before: str | None, **fields: object
    ) -> bytes:
        told = {"connector": self._connector, "before": before}
        return msgspec.json.encode(
            {
                "envelope": ENVELOPE,
                **{name: text for name, text in told.items() if text is not None},
                "topic": record.topic,
                "partition": record.partition,
                "timestamp": record.timestamp,
                "source_partition": record.source_partition,
                "source_offset": record.source_offset,
                **fields,
            },
            enc_hook=lambda value: _clean(repr(value)),
        )


def envelope_of(record: RawRecord) -> dict[str, Any] | None:
    """The envelope of a source's letter, None where there is none."""
    if record.value is None or ENVELOPE.encode() not in record.value[:200]:
        return None
    try:
        found = json.loads(record.value)
    except ValueError:
        return None
    is_one = isinstance(found, dict) and found.get("envelope") == ENVELOPE
    return found if is_one and {"topic", "key", "value", "headers"} <= found.keys() else None


def bytes_field(raw: bytes | None) -> dict[str, Any]:
    """A field with bytes."""
    return _NULL if raw is None else {"base64": base64.b64encode(raw).decode()}


def _type_name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
