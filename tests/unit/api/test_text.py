"""Texts of values look as Java writes them."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api.schema import FLOAT32, INT64, OPTIONAL_STRING, array_of, struct_of
from engine.api.struct import Struct
from engine.api.text import text_of

POINT = struct_of({"x": INT64, "label": OPTIONAL_STRING}, name="point")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (0.001, "0.001"),
        (0.00012, "1.2E-4"),
        (1234567.0, "1234567.0"),
        (9999999.0, "9999999.0"),
        (12345678.9, "1.23456789E7"),
        (-2.5e-300, "-2.5E-300"),
        (1e10, "1.0E10"),
        (1e-4, "1.0E-4"),
        (5e-324, "4.9E-324"),
        (100.0, "100.0"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (Decimal("1.50"), "1.50"),
        ([1, None, "a"], "[1, null, a]"),
        ({"a": 1, "b": [True]}, "{a=1, b=[true]}"),
        (Struct(POINT, {"x": 5}), "Struct{x=5}"),
        (Struct(POINT), "Struct{}"),
        (b"bytes", "bytes"),
        (dt.date(2022, 1, 8), "Sat Jan 08 00:00:00 UTC 2022"),
        (dt.time(1, 2, 3), "Thu Jan 01 01:02:03 UTC 1970"),
        (dt.datetime(2022, 1, 8, 5, tzinfo=dt.UTC), "Sat Jan 08 05:00:00 UTC 2022"),
    ],
)
def test_a_text_is_what_javas_to_string_says(value: Any, text: str) -> None:
    assert text_of(value) == text


def test_a_float_of_32_bits_is_written_as_short_as_it_can_be() -> None:
    assert text_of(0.10000000149011612) == "0.10000000149011612"
    assert text_of(0.10000000149011612, FLOAT32) == "0.1"
    assert text_of([16777217.5], array_of(FLOAT32)) == "[1.6777218E7]"


@given(st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False))
def test_the_digits_of_a_number_mean_that_number(value: float) -> None:
    assert float(text_of(value)) == value
