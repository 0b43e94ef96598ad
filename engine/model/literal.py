"""Text to a value of the type that it looks like (upstream: ``Values.parseString``).

As in Kafka, to the letter: ``12`` is a number of 8 bits, ``[1, 300]`` a list of numbers of 16,
``1,2`` and ``12:34`` are numbers too, for what comes after their first token is not looked at.
"""

import datetime as dt
import math
import re
import struct as packing
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from engine.api.errors import DataError
from engine.api.record import SchemaAndValue
from engine.api.schema import (
    BOOLEAN,
    DATE,
    FLOAT32,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    STRING,
    TIME,
    TIMESTAMP,
    Schema,
    Type,
    array_of,
    decimal_of,
    map_of,
)  # fmt: skip
from engine.api.struct import fits_integer
from engine.model.literal_token import Tokens

NULL: Final = SchemaAndValue(None, None)
_WORDS: Final = (
    ("null", NULL),
    ("true", SchemaAndValue(BOOLEAN, True)),
    ("false", SchemaAndValue(BOOLEAN, False)),
)
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_MAX_EXPONENT: Final = 2**31
_INTEGERS: Final = (INT8, INT16, INT32, INT64)
_TIME: Final = re.compile(r"(\d{2}):(\d{2}):(\d{2})\.(\d{3})Z")
_DATE: Final = re.compile(r"(\d{4})-(\d{2})-(\d{2})")


def parse_string(text: str) -> SchemaAndValue:
    """The value that the text looks like; the text itself when it looks like nothing."""
    if not text:
        return SchemaAndValue(STRING, text)
    return _Parser(text).parse(embedded=False)


class _Parser:
    """Parses one text by its tokens."""

    def __init__(self, text: str) -> None:
        self._tokens = Tokens(text)

    def parse(self, *, embedded: bool) -> SchemaAndValue:
        """The next value."""
        tokens = self._tokens
        if not tokens.has_next():
            return NULL
        if embedded and tokens.can_consume('"'):
            return self._quoted()
        for word, value in _WORDS:
            if self._is_word(word, embedded=embedded):
                return value
        return self._container(embedded=embedded) or self._scalar(embedded=embedded)

    def _container(self, *, embedded: bool) -> SchemaAndValue | None:
        """The list or map that begins here; None when there is none, or a broken one."""
        tokens = self._tokens
        start = tokens.mark()
        try:
            if tokens.can_consume("["):
                return self._list()
            if tokens.can_consume("{"):
                return self._map()
        except DataError:
            if embedded:
                raise
            tokens.rewind_to(start)
        return None

    def _is_word(self, word: str, *, embedded: bool) -> bool:
        start = self._tokens.mark()
        if self._tokens.can_consume(word) and (embedded or not self._tokens.has_next()):
            return True
        self._tokens.rewind_to(start)
        return False

    def _quoted(self) -> SchemaAndValue:
        parts: list[str] = []
        while self._tokens.has_next() and not self._tokens.can_consume('"'):
            parts.append(self._tokens.next())
        content = "".join(parts)
        parsed = parse_string(content)
        is_temporal = parsed.schema is not None and parsed.schema in (DATE, TIME, TIMESTAMP)
        return parsed if is_temporal else SchemaAndValue(STRING, content)

    def _list(self) -> SchemaAndValue:
        tokens, values, merged = self._tokens, list[Any](), _Merger()
        while tokens.has_next():
            if tokens.can_consume("]"):
                schema = merged.schema()
                aligned = values if schema is None else [aligned_to(schema, v) for v in values]
                return SchemaAndValue(array_of(schema), aligned)
            if tokens.can_consume(","):
                raise DataError(f"Unable to parse an empty array element: {tokens.text}")
            element = self.parse(embedded=True)
            merged.add(element)
            values.append(element.value)
            position = tokens.mark()
            if tokens.can_consume("]"):
                tokens.rewind_to(position)
            elif not tokens.can_consume(","):
                raise DataError("Array elements missing ',' delimiter")
        raise DataError(f"Array is missing terminating ']': {tokens.text}")

    def _map(self) -> SchemaAndValue:
        tokens, entries = self._tokens, dict[Any, Any]()
        keys, values = _Merger(), _Merger()
        while tokens.has_next():
            if tokens.can_consume("}"):
                return _map_value(entries, keys.schema(), values.schema())
            if tokens.can_consume(","):
                raise DataError(f"Unable to parse a map entry with no key or value: {tokens.text}")
            key = self.parse(embedded=True)
            if key.value is None:
                raise DataError(f"Map entry may not have a null key: {tokens.text}")
            if not tokens.can_consume(":"):
                raise DataError(f"Map entry is missing ':' in {tokens.text}")
            value = self.parse(embedded=True)
            try:
                entries[key.value] = value.value
            except TypeError:
                raise DataError(f"Map key {key.value} cannot be a key in Python") from None
            keys.add(key)
            values.add(value)
            tokens.can_consume(",")
        raise DataError(f"Map is missing terminating '}}': {tokens.text}")

    def _scalar(self, *, embedded: bool) -> SchemaAndValue:
        tokens = self._tokens
        token = tokens.next()
        if not token.strip():
            return SchemaAndValue(STRING, token)
        token = token.strip()
        found = self._temporal(token) or _number(token)
        if found is not None:
            return found
        if embedded:
            raise DataError("Failed to parse embedded value")
        return SchemaAndValue(STRING, tokens.text)

    def _temporal(self, token: str) -> SchemaAndValue | None:
        """A date or time; colons outside of quotes have parted a time into five tokens."""
        if not token[0].isdigit():
            return None
        position = self._tokens.mark()
        rest = self._tokens.next_joined(4)
        found = None if rest is None else temporal(token + rest)
        if found is None:
            self._tokens.rewind_to(position)
            found = temporal(token)
        return found


def temporal(token: str) -> SchemaAndValue | None:
    """A date, a time or both of the exact form that Kafka writes."""
    token = token.replace("\\:", ":")
    day, _, time = token.partition("T")
    try:
        if _DATE.fullmatch(token):
            return SchemaAndValue(DATE, _date(token))
        if _TIME.fullmatch(token):
            return SchemaAndValue(TIME, _time(token))
        if _DATE.fullmatch(day) and _TIME.fullmatch(time):
            moment = dt.datetime.combine(_date(day), _time(time), dt.UTC)
            return SchemaAndValue(TIMESTAMP, moment)
    except (ValueError, OverflowError):
        return None
    return None


def _date(text: str) -> dt.date:
    """A date; a month of 13 or a day of 45 is counted on, as Java does."""
    year, month, day = map(int, text.split("-"))
    years, months = divmod(month - 1, 12)
    return dt.date(year + years, months + 1, 1) + dt.timedelta(days=day - 1)


def _time(text: str) -> dt.time:
    match = _TIME.fullmatch(text)
    assert match is not None
    hours, minutes, seconds, milliseconds = map(int, match.groups())
    return dt.time(hours, minutes, seconds, milliseconds * 1000)


def _number(token: str) -> SchemaAndValue | None:
    """The number in the smallest type that holds it."""
    if not (token[0].isdigit() or token[0] in "+-") or not _NUMBER.fullmatch(token):
        return None
    try:
        number = Decimal(token)
    except ArithmeticError:
        return None
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or abs(exponent) >= _MAX_EXPONENT:
        return None
    return _integer(number, exponent) or _floating(number, exponent)


def _integer(number: Decimal, exponent: int) -> SchemaAndValue | None:
    if number.adjusted() > 18 or (exponent < 0 and number != number.to_integral_value()):
        return None
    value = int(number)
    for schema in _INTEGERS:
        if fits_integer(schema.type, value):
            return SchemaAndValue(schema, value)
    return None


def _floating(number: Decimal, exponent: int) -> SchemaAndValue:
    value = float(number)
    if exponent != 0 and not math.isinf(value):
        try:
            single = packing.unpack(">f", packing.pack(">f", value))[0]
        except OverflowError:
            return SchemaAndValue(FLOAT64, value)
        return SchemaAndValue(FLOAT32, single)
    return SchemaAndValue(decimal_of(-exponent), number)


def _map_value(
    entries: Mapping[Any, Any], keys: Schema | None, values: Schema | None
) -> SchemaAndValue:
    aligned = {
        k if keys is None else aligned_to(keys, k): v if values is None else aligned_to(values, v)
        for k, v in entries.items()
    }
    return SchemaAndValue(map_of(keys, values), aligned)


_WIDENING: Final[Sequence[Type]] = (
    Type.INT8, Type.INT16, Type.INT32, Type.INT64, Type.FLOAT32, Type.FLOAT64,
)  # fmt: skip


class _Merger:
    """The schema that several values have in common."""

    def __init__(self) -> None:
        self._common: Schema | None = None
        self._is_possible = True

    def add(self, latest: SchemaAndValue) -> None:
        """Look at one more value."""
        if latest.schema is None or not self._is_possible:
            return
        self._common = (
            latest.schema if self._common is None else _wider(self._common, latest.schema)
        )
        self._is_possible = self._common is not None

    def schema(self) -> Schema | None:
        """The common schema, None when there is none."""
        return self._common


def _wider(a: Schema, b: Schema) -> Schema | None:
    if a.type is not b.type:
        if a.type not in _WIDENING or b.type not in _WIDENING:
            return None
        return a if _WIDENING.index(a.type) > _WIDENING.index(b.type) else b
    if a.optional == b.optional:
        return a if a.optional else b
    return a if a == b else None


def aligned_to(schema: Schema, value: Any) -> Any:
    """The value as one of the schema."""
    if value is None:
        if not schema.optional:
            raise DataError("Unable to convert a null value to a schema that requires a value")
        return None
    is_float = schema.type in (Type.FLOAT32, Type.FLOAT64)
    return float(value) if is_float and isinstance(value, int) else value
