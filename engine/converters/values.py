"""A value as the text that its header has; the way back is :mod:`engine.model.literal`."""

import datetime as dt
from base64 import b64encode
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from engine.api.errors import DataError
from engine.api.schema import Schema, Type
from engine.api.struct import Struct
from engine.api.text import float_text, moment_of
from engine.converters.logical import milliseconds_of

_MS_PER_DAY: Final = 86_400_000


def value_text(value: Any, schema: Schema | None = None, *, embedded: bool = False) -> str:
    """The text of a value (upstream: ``Values.convertToString``).

    Args:
        embedded: the value is inside another one, so that strings stand in quotes.

    Raises:
        DataError: there is no text for a value of this class.
    """
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            return float_text(value, single=schema is not None and schema.type is Type.FLOAT32)
        case int() | Decimal():
            return str(value)
        case str():
            return f'"{_escaped(value)}"' if embedded else value
        case bytes() | bytearray() | memoryview():
            text = b64encode(value).decode()
            return f'"{text}"' if embedded else text
        case dt.date() | dt.time():
            return _date_text(value)
        case _:
            return _container_text(value, schema)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _container_text(value: Any, schema: Schema | None) -> str:
    match value:
        case list() | tuple():
            of = schema.value_schema if schema else None
            return f"[{','.join(value_text(v, of, embedded=True) for v in value)}]"
        case Mapping():
            keys, values = (schema.key_schema, schema.value_schema) if schema else (None, None)
            return _entries((k, keys, v, values) for k, v in value.items())
        case Struct():
            fields = value.schema.fields
            return _entries((f.name, None, value.get(f.name), f.schema) for f in fields)
        case _:
            raise DataError(
                f"Failed to serialize unexpected value type {type(value).__name__}: {value}"
            )


def _entries(entries: Iterable[tuple[Any, Schema | None, Any, Schema | None]]) -> str:
    texts = (
        f"{value_text(k, ks, embedded=True)}:{value_text(v, vs, embedded=True)}"
        for k, ks, v, vs in entries
    )
    return f"{{{','.join(texts)}}}"


def _date_text(value: dt.date | dt.time) -> str:
    """Date, time or both: which one Kafka tells by the number of milliseconds alone."""
    moment = moment_of(value)
    time = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}Z"
    day = f"{moment.year:04}-{moment:%m-%d}"
    milliseconds = milliseconds_of(moment)
    if milliseconds < _MS_PER_DAY:
        return time
    return day if milliseconds % _MS_PER_DAY == 0 else f"{day}T{time}"
