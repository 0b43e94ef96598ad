"""Values in lines look as Kafka's own sink writes them."""

import math
import struct
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.file.java_text import java_text
from engine.api import Field, Schema, Type

INT32 = Schema(Type.INT32)
FLOAT32 = Schema(Type.FLOAT32, optional=True)
TEXT = Schema(Type.STRING, optional=True)
STRUCT = Schema(
    Type.STRUCT, fields=(Field("id", 0, INT32), Field("name", 1, TEXT), Field("f", 2, FLOAT32))
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": 1}, "{a=1}"),
        ({"a": [1, None], "b": {"c": "x y"}}, "{a=[1, null], b={c=x y}}"),
        ([1, 2], "[1, 2]"),
        ([], "[]"),
        (None, "null"),
        (True, "true"),
        (7, "7"),
        (Decimal("1.50"), "1.50"),
        (b"raw", "raw"),
        (1e10, "1.0E10"),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (0.001, "0.001"),
        (0.00012, "1.2E-4"),
        (1234567.0, "1234567.0"),
        (9999999.0, "9999999.0"),
        (12345678.9, "1.23456789E7"),
        (-2.5e-300, "-2.5E-300"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (math.nan, "NaN"),
        (datetime(2026, 11, 5, 1, 2, 3, tzinfo=UTC), "Thu Nov 05 01:02:03 UTC 2026"),
        (date(1970, 1, 1), "Thu Jan 01 00:00:00 UTC 1970"),
        (time(4, 5, 6), "Thu Jan 01 04:05:06 UTC 1970"),
    ],
)
def test_a_value_is_written_as_java_would(value: Any, text: str) -> None:
    assert java_text(value) == text


def test_a_struct_leaves_out_null_fields() -> None:
    assert java_text({"id": 5, "name": "x"}, STRUCT) == "Struct{id=5,name=x}"
    assert java_text({"id": None}, STRUCT) == "Struct{}"


def test_a_float_of_four_bytes_has_its_own_shortest_digits() -> None:
    (stored,) = struct.unpack("f", struct.pack("f", 0.1))
    assert java_text({"f": stored}, STRUCT) == "Struct{f=0.1}"
    assert java_text(stored) == "0.10000000149011612"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_digits_of_a_number_mean_that_number(value: float) -> None:
    assert float(java_text(value)) == value
