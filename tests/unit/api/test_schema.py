"""Schemas, structs and what fits them."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from engine.api.errors import DataError
from engine.api.schema import (
    DATE,
    INT8,
    INT64,
    OPTIONAL_STRING,
    STRING,
    TIMESTAMP,
    Schema,
    Type,
    array_of,
    decimal_of,
    map_of,
    struct_of,
)
from engine.api.struct import Struct, validate_value

WITH_DEFAULT = Schema(Type.STRING, optional=True, default="d")
POINT = struct_of({"x": INT64, "label": OPTIONAL_STRING}, name="point")


def test_equal_schemas_are_equal_keys() -> None:
    again = struct_of({"x": INT64, "label": OPTIONAL_STRING}, name="point")
    assert again == POINT
    assert hash(again) == hash(POINT)
    assert {POINT: 1}[again] == 1


@pytest.mark.parametrize(
    "other",
    [
        struct_of({"x": INT64, "label": OPTIONAL_STRING}),
        struct_of({"x": INT64}, name="point"),
        Schema(Type.STRING),
        struct_of(
            {"x": INT64, "label": Schema(Type.STRING, optional=True, default="d")}, name="point"
        ),
    ],
)
def test_schemas_that_differ_anywhere_are_not_equal(other: Schema) -> None:
    assert other != POINT


def test_a_schema_with_parameters_can_be_a_key() -> None:
    assert {decimal_of(2): "two"}[decimal_of(2)] == "two"
    assert decimal_of(2) != decimal_of(3)


def test_a_struct_gives_its_values_and_its_defaults() -> None:
    schema = struct_of({"a": WITH_DEFAULT, "b": INT64})
    made = Struct(schema, {"b": 5})
    assert (made["a"], made.get_without_default("a"), made["b"]) == ("d", None, 5)
    assert made.values() == [None, 5]


def test_structs_are_compared_by_schema_and_values() -> None:
    assert Struct(POINT, {"x": 1}) == Struct(POINT).put("x", 1)
    assert Struct(POINT, {"x": 1}) != Struct(POINT, {"x": 2})
    assert Struct(POINT, {"x": 1}) != "x"


def test_a_struct_refuses_a_field_that_its_schema_has_not() -> None:
    with pytest.raises(DataError, match="y is not a valid field name"):
        Struct(POINT, {"y": 1})
    with pytest.raises(DataError, match="y is not a valid field name"):
        Struct(POINT).get("y")


def test_a_struct_without_a_required_field_is_not_valid() -> None:
    with pytest.raises(DataError, match='null used for required field: "x", schema type: INT64'):
        Struct(POINT).validate()


def test_only_a_struct_schema_makes_structs() -> None:
    with pytest.raises(DataError, match="Not a struct schema"):
        Struct(STRING)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (INT8, 127),
        (OPTIONAL_STRING, None),
        (array_of(INT64), [1, 2]),
        (map_of(STRING, INT64), {"a": 1}),
        (decimal_of(2), Decimal("1.50")),
        (DATE, dt.date(2026, 1, 1)),
        (TIMESTAMP, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)),
        (POINT, Struct(POINT, {"x": 1})),
    ],
)
def test_a_value_that_fits_passes(schema: Schema, value: Any) -> None:
    validate_value(schema, value)


@pytest.mark.parametrize(
    ("schema", "value", "message"),
    [
        (INT8, 128, "Value 128 is out of range for INT8"),
        (INT64, True, "Invalid Python object for schema type INT64: <class 'bool'>"),
        (STRING, 1, "Invalid Python object for schema type STRING: <class 'int'>"),
        (STRING, None, "null used for required field"),
        (array_of(INT64), [1, "2"], "Invalid Python object for schema type INT64"),
        (map_of(STRING, INT64), {1: 1}, "Invalid Python object for schema type STRING"),
        (DATE, 1, "Invalid Python object for schema type INT32"),
        (POINT, Struct(struct_of({"x": INT64})), "Struct schemas do not match"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(schema: Schema, value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        validate_value(schema, value)
