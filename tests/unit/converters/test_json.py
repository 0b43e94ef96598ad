"""JSON: fast ways give what slow ways give, and values come back as they went."""

import datetime as dt
import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api.errors import ConfigError, DataError
from engine.api.record import Column, SchemaAndValue
from engine.api.schema import (
    DATE,
    FLOAT64,
    INT64,
    OPTIONAL_STRING,
    STRING,
    TIME,
    TIMESTAMP,
    Schema,
    array_of,
    decimal_of,
    map_of,
    struct_of,
)
from engine.api.struct import Struct
from engine.converters.json import JsonConverter, JsonHeaderConverter
from engine.converters.json_text import decode, decode_tolerant, encode, schemaless, schemaless_json

int64 = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
documents = st.recursive(
    st.none() | st.booleans() | int64 | floats | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def converter(**config: str) -> JsonConverter:
    made = JsonConverter()
    made.configure({k.replace("_", "."): v for k, v in config.items()}, is_key=False)
    return made


PLAIN = converter(schemas_enable="false")


def positive_zeros(value: Any) -> Any:
    """The value without negative zeros, which Kafka reads as zeros."""
    match value:
        case float():
            return value or 0.0
        case list():
            return [positive_zeros(v) for v in value]
        case dict():
            return {k: positive_zeros(v) for k, v in value.items()}
        case _:
            return value


@given(documents)
def test_the_fast_writer_writes_what_the_slow_one_writes(document: Any) -> None:
    assert encode(document) == schemaless_json(document).encode()


@given(documents)
def test_a_document_comes_back_as_it_went(document: Any) -> None:
    assert decode(encode(document)) == positive_zeros(document)
    assert json.loads(encode(document)) == document


@given(documents)
def test_the_fast_reader_reads_what_the_tolerant_one_reads(document: Any) -> None:
    text = json.dumps(document).encode()
    assert decode(text) == schemaless(decode_tolerant(text))


@given(st.lists(documents, max_size=3))
def test_a_batch_is_what_its_records_are(values: list[Any]) -> None:
    raw = PLAIN.from_connect_batch("t", Column(values))
    assert raw == [PLAIN.from_connect_data("t", None, value) for value in values]
    column = PLAIN.to_connect_batch("t", raw)
    assert list(column) == [PLAIN.to_connect_data("t", each).value for each in raw]


ORDER = struct_of(
    {
        "id": INT64,
        "price": decimal_of(2),
        "note": OPTIONAL_STRING,
        "day": DATE,
        "time": TIME,
        "at": TIMESTAMP,
        "tags": array_of(STRING),
        "by_number": map_of(INT64, FLOAT64),
    },
    name="order",
    version=3,
)


def an_order(price: str = "9.90") -> Struct:
    return Struct(
        ORDER,
        {
            "id": 2**60,
            "price": Decimal(price),
            "day": dt.date(2026, 11, 21),
            "time": dt.time(10, 0, 0, 5000),
            "at": dt.datetime(2026, 11, 21, 10, tzinfo=dt.UTC),
            "tags": ["a", "\U0001f44b"],
            "by_number": {1: 0.5, -2: 1e300},
        },
    )


@pytest.mark.parametrize("decimals", ["BASE64", "numeric"])
def test_a_struct_comes_back_with_its_schema(decimals: str) -> None:
    with_schema = converter(decimal_format=decimals)
    raw = with_schema.from_connect_data("t", ORDER, an_order())
    assert with_schema.to_connect_data("t", raw) == SchemaAndValue(ORDER, an_order())


def test_a_batch_of_structs_is_what_its_records_are() -> None:
    with_schema = converter()
    column = Column([an_order("1.00"), an_order("2.00")], ORDER)
    raw = with_schema.from_connect_batch("t", column)
    assert raw == [with_schema.from_connect_data("t", ORDER, value) for value in column]
    read = with_schema.to_connect_batch("t", raw)
    assert (list(read), read.schema, read.schemas) == (list(column), ORDER, None)


def test_many_schemas_are_remembered_up_to_a_limit() -> None:
    small = converter(schemas_cache_size="2")
    for i in range(5):
        schema = struct_of({f"f{i}": INT64})
        raw = small.from_connect_data("t", schema, Struct(schema, {f"f{i}": i}))
        assert small.to_connect_data("t", raw).schema == schema


def test_tombstones_stay_tombstones() -> None:
    assert PLAIN.from_connect_batch("t", Column([None])) == [None]
    assert PLAIN.to_connect_batch("t", [None])[0] is None


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        (INT64, 2**63, "Value 9223372036854775808 is out of range for INT64"),
        (INT64, True, "Invalid type for INT64: <class 'bool'>"),
        (FLOAT64, "1", "Invalid type for FLOAT64: <class 'str'>"),
        (array_of(INT64), "text", "Invalid type for ARRAY"),
        (map_of(STRING, INT64), [1], "Invalid type for MAP"),
        (ORDER, {"id": 1}, "Invalid type for STRUCT"),
        (ORDER, Struct(struct_of({"id": INT64})), "Mismatching schema."),
        (decimal_of(2), Decimal("NaN"), "is not a number"),
        (DATE, "today", "Invalid type for Date"),
        (TIME, 5, "Invalid type for Time"),
        (TIMESTAMP, dt.date(2026, 1, 1), "Invalid type for Timestamp"),
        (None, {1, 2}, "<class 'set'> does not have corresponding schema type."),
        (None, Struct(ORDER), "Mismatching schema."),
    ],
)
def test_a_value_that_does_not_fit_is_a_data_error(
    schema: Schema | None, value: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        PLAIN.from_connect_data("t", schema, value)


def test_a_broken_record_of_a_batch_is_a_data_error() -> None:
    with pytest.raises(DataError, match="serialization error"):
        PLAIN.to_connect_batch("t", [b"1", b"{"])


def test_a_deeply_nested_document_is_a_data_error() -> None:
    with pytest.raises(DataError):
        PLAIN.to_connect_data("t", b"[" * 100_000)


def test_a_number_with_a_huge_exponent_costs_nothing() -> None:
    raw = b'{"schema":{"type":"int64"},"payload":1e999999999}'
    assert converter().to_connect_data("t", raw).value == 0
    assert math.isinf(PLAIN.to_connect_data("t", b"1e999999999").value)


def test_half_a_surrogate_pair_is_escaped() -> None:
    assert PLAIN.from_connect_data("t", STRING, "\ud83d") == b'"\\uD83D"'
    assert PLAIN.from_connect_data("t", None, "\ud83d") == b'"\\uD83D"'


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ConfigError) as caught:
        converter(schemas_enable="maybe", decimal_format="HEX")
    assert set(caught.value.problems) == {"schemas.enable", "decimal.format"}


def test_headers_are_converted_too() -> None:
    header = JsonHeaderConverter()
    header.configure({"schemas.enable": "false"})
    assert header.from_connect_header("t", "h", None, [1]) == b"[1]"
    assert header.to_connect_header("t", "h", b"[1]").value == [1]
