"""Values as ``toString`` of Kafka Connect's Java values writes them."""

import struct
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any

from engine.api import Schema, Type


def java_text(value: Any, schema: Schema | None = None) -> str:
    """The text of a value: ``Struct{id=5,name=x}``, ``{a=1}``, ``[1, 2]``, ``1.0E10``, ``null``."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, float):
        return _floating(value, is_double=schema is None or schema.type is not Type.FLOAT32)
    if isinstance(value, Mapping):
        return _mapping(value, schema)
    if isinstance(value, (list, tuple)):
        inner = None if schema is None else schema.value_schema
        return "[" + ", ".join(java_text(v, inner) for v in value) + "]"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, (date, time)):
        return _date(value)
    return str(value)


def _mapping(value: Mapping[Any, Any], schema: Schema | None) -> str:
    if schema is not None and schema.type is Type.STRUCT:
        fields = ((f, value.get(f.name)) for f in schema.fields)
        there = (f"{f.name}={java_text(v, f.schema)}" for f, v in fields if v is not None)
        return "Struct{" + ",".join(there) + "}"
    of_key = None if schema is None else schema.key_schema
    of_value = None if schema is None else schema.value_schema
    pairs = (f"{java_text(k, of_key)}={java_text(v, of_value)}" for k, v in value.items())
    return "{" + ", ".join(pairs) + "}"


def _floating(value: float, *, is_double: bool) -> str:
    """``Double.toString`` and ``Float.toString``: the shortest digits that mean this number."""
    if value != value:  # noqa: PLR0124 (that is what NaN does)
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    if not value:
        return "-0.0" if str(value).startswith("-") else "0.0"
    shortest = repr(value) if is_double else _shortest_float32(value)
    mantissa, _, exponent = f"{shortest}e0".partition("e")
    digits, power = _scientific(mantissa, int(exponent.removesuffix("e0") or 0))
    sign = "-" if value < 0 else ""
    if -3 <= power < 7:
        return sign + _plain(digits, power)
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{power}"


def _shortest_float32(value: float) -> str:
    packed = struct.pack("f", value)
    texts = (f"{value:.{digits}g}" for digits in range(1, 10))
    return next((t for t in texts if struct.pack("f", float(t)) == packed), repr(value))


def _scientific(mantissa: str, exponent: int) -> tuple[str, int]:
    """Digits without zeros around them, and the power of ten of the first."""
    whole, _, part = mantissa.lstrip("-").partition(".")
    digits = (whole + part).lstrip("0")
    leading = len(whole + part) - len(digits)
    return digits.rstrip("0"), exponent + len(whole) - 1 - leading


def _plain(digits: str, power: int) -> str:
    if power < 0:
        return "0." + "0" * (-power - 1) + digits
    whole = digits[: power + 1].ljust(power + 1, "0")
    return f"{whole}.{digits[power + 1 :] or '0'}"


def _date(value: date | time) -> str:
    """``Date.toString`` in UTC; days and times of day are dates there, too."""
    if isinstance(value, time):
        moment = datetime.combine(date(1970, 1, 1), value)
    elif isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value
    else:
        moment = datetime(value.year, value.month, value.day)  # noqa: DTZ001 (UTC by definition)
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun",
              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")  # fmt: skip
    start = f"{days[moment.weekday()]} {months[moment.month - 1]} {moment.day:02}"
    return f"{start} {moment:%H:%M:%S} UTC {moment.year}"
