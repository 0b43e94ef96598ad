"""Logical types and the plain values that they are written as, with Kafka's rules and messages."""

import datetime as dt
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from engine.api.errors import DataError
from engine.api.schema import DATE_NAME, DECIMAL_NAME, TIME_NAME, TIMESTAMP_NAME, Schema

_MS_PER_DAY: Final = 86_400_000
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_EPOCH_DAY: Final = dt.date(1970, 1, 1)
_MILLISECOND: Final = dt.timedelta(milliseconds=1)


def scale_of(schema: Schema) -> int:
    """The digits after the point of a Decimal schema."""
    try:
        return int((schema.parameters or {})["scale"])
    except KeyError:
        raise DataError("Invalid Decimal schema: scale parameter not found.") from None
    except ValueError:
        raise DataError("Invalid scale parameter found in Decimal schema: ") from None


def _decimal_to_base(schema: Schema, value: Any) -> bytes:
    if not isinstance(value, Decimal):
        raise DataError(f"Invalid type for Decimal, expected Decimal but was {type(value)}")
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise DataError(f"Decimal value {value} is not a number")
    if -exponent != scale_of(schema):
        raise DataError(
            "Decimal value has mismatching scale for given Decimal schema. "
            f"Schema has scale {scale_of(schema)}, value has scale {-exponent}."
        )
    unscaled = int("".join(map(str, digits))) * (-1 if sign else 1)
    size = ((unscaled if unscaled >= 0 else ~unscaled).bit_length()) // 8 + 1
    return unscaled.to_bytes(size, "big", signed=True)


def _decimal_from_base(schema: Schema, value: bytes) -> Decimal:
    unscaled = int.from_bytes(value, "big", signed=True)
    digits = tuple(map(int, str(abs(unscaled))))
    return Decimal((int(unscaled < 0), digits, -scale_of(schema)))


def _date_to_base(_schema: Schema, value: Any) -> int:
    if isinstance(value, dt.datetime):
        if value.time() != dt.time():
            raise DataError(
                "Kafka Connect Date type should not have any time fields set to non-zero values."
            )
        value = value.date()
    if not isinstance(value, dt.date):
        raise DataError(f"Invalid type for Date, expected date but was {type(value)}")
    return (value - _EPOCH_DAY).days


def _date_from_base(_schema: Schema, value: int) -> dt.date:
    try:
        return _EPOCH_DAY + dt.timedelta(days=value)
    except OverflowError:
        raise DataError(f"Day {value} is out of range for a date") from None


def _time_to_base(_schema: Schema, value: Any) -> int:
    if not isinstance(value, dt.time):
        raise DataError(f"Invalid type for Time, expected time but was {type(value)}")
    since = dt.timedelta(
        hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond
    )
    return since // _MILLISECOND


def _time_from_base(_schema: Schema, value: int) -> dt.time:
    if not 0 <= value < _MS_PER_DAY:
        raise DataError(
            "Time values must use number of milliseconds greater than 0 and less than 86400000"
        )
    return (_EPOCH + value * _MILLISECOND).time()


def milliseconds_of(value: dt.datetime) -> int:
    """Milliseconds since the epoch; a time without a zone is taken for UTC."""
    zoned = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
    return (zoned - _EPOCH) // _MILLISECOND


def _timestamp_to_base(_schema: Schema, value: Any) -> int:
    if not isinstance(value, dt.datetime):
        raise DataError(f"Invalid type for Timestamp, expected datetime but was {type(value)}")
    return milliseconds_of(value)


def _timestamp_from_base(_schema: Schema, value: int) -> dt.datetime:
    try:
        return _EPOCH + value * _MILLISECOND
    except OverflowError:
        raise DataError(f"Timestamp {value} is out of range for a datetime") from None


TO_BASE: Final[Mapping[str, Callable[[Schema, Any], Any]]] = {
    DECIMAL_NAME: _decimal_to_base,
    DATE_NAME: _date_to_base,
    TIME_NAME: _time_to_base,
    TIMESTAMP_NAME: _timestamp_to_base,
}
"""By schema name: the value as its schema's type has it. Raise DataError for a value of no use."""

FROM_BASE: Final[Mapping[str, Callable[[Schema, Any], Any]]] = {
    DECIMAL_NAME: _decimal_from_base,
    DATE_NAME: _date_from_base,
    TIME_NAME: _time_from_base,
    TIMESTAMP_NAME: _timestamp_from_base,
}
"""By schema name: the value that people mean."""
