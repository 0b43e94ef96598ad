"""Values as Java's ``toString`` writes them: in files, in logs, by the StringConverter."""

import datetime as dt
import math
import struct as packing
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from engine.api.schema import Schema, Type
from engine.api.struct import Struct


def text_of(value: Any, schema: Schema | None = None) -> str:
    """The value's text: ``true``, ``1.0E10``, ``{a=1}``, ``[1, 2]``, ``Struct{id=5}``, ``null``."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            return float_text(value, single=schema is not None and schema.type is Type.FLOAT32)
        case str() | int() | Decimal():
            return str(value)
        case bytes() | bytearray() | memoryview():
            return bytes(value).decode("utf-8", "replace")
        case _:
            return _text_of_container(value, schema)


def _text_of_container(value: Any, schema: Schema | None) -> str:
    match value:
        case Struct():
            pairs = ((f, value.get_without_default(f.name)) for f in value.schema.fields)
            shown = (f"{f.name}={text_of(v, f.schema)}" for f, v in pairs if v is not None)
            return f"Struct{{{','.join(shown)}}}"
        case Mapping():
            keys, values = (schema.key_schema, schema.value_schema) if schema else (None, None)
            shown = (f"{text_of(k, keys)}={text_of(v, values)}" for k, v in value.items())
            return f"{{{', '.join(shown)}}}"
        case list() | tuple():
            of = schema.value_schema if schema else None
            return f"[{', '.join(text_of(v, of) for v in value)}]"
        case dt.date() | dt.time():
            return _date_text(value)
        case _:
            return str(value)


def moment_of(value: dt.date | dt.time) -> dt.datetime:
    """The moment in UTC that Java's Date holds for a date, a time of day or both."""
    match value:
        case dt.datetime():
            return value if value.tzinfo is None else value.astimezone(dt.UTC)
        case dt.date():
            return dt.datetime.combine(value, dt.time())
        case dt.time():
            return dt.datetime.combine(dt.date(1970, 1, 1), value)


def _date_text(value: dt.date | dt.time) -> str:
    """As ``java.util.Date`` in UTC: ``Sat Jan 08 00:00:00 UTC 2022``."""
    zoned = moment_of(value)
    day, month = _DAYS[zoned.weekday()], _MONTHS[zoned.month - 1]
    return f"{day} {month} {zoned:%d %H:%M:%S} UTC {zoned.year}"


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def float_text(value: float, *, single: bool = False) -> str:
    """The number as Java writes it; ``single`` for a float of 32 bits."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    plain = _shortest_single(value) if single else repr(value)
    magnitude = abs(value)
    if magnitude == 0 or 1e-3 <= magnitude < 1e7:
        return _plain(plain)
    return _scientific(plain)


def _plain(text: str) -> str:
    if "e" in text:
        text = format(Decimal(text), "f")
    return text if "." in text else f"{text}.0"


def _scientific(text: str) -> str:
    sign, digits, exponent = Decimal(text).as_tuple()
    shown = "".join(map(str, digits))
    power = len(shown) - 1 + int(exponent)
    shown = shown.rstrip("0") or "0"
    if shown == "5" and power == -324:  # Java shows two digits of the smallest number
        shown, power = "49", -324
    return f"{'-' * sign}{shown[0]}.{shown[1:] or '0'}E{power}"


def _shortest_single(value: float) -> str:
    """The shortest text that reads back as the same 32-bit float."""
    wanted = _single(value)
    if wanted is None:
        return repr(value)
    rounded = float(packing.unpack(">f", wanted)[0])
    texts = (f"{rounded:.{precision}g}" for precision in range(1, 10))
    return next((text for text in texts if _single(float(text)) == wanted), repr(rounded))


def _single(value: float) -> bytes | None:
    """The bits of a 32-bit float; None when the number is too large for one."""
    try:
        return packing.pack(">f", value)
    except OverflowError:
        return None
