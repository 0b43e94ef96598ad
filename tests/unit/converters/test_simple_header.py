"""Headers as text: nothing that comes from outside can break them."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api.errors import DataError
from engine.api.schema import BYTES, STRING, TIMESTAMP
from engine.converters.simple_header import SimpleHeaderConverter

CONVERTER = SimpleHeaderConverter()


@given(st.binary() | st.text(alphabet='[]{}:,"\\ 012.eE+-TZnulltruefalse').map(str.encode))
def test_any_bytes_are_read(raw: bytes) -> None:
    CONVERTER.to_connect_header("t", "h", raw)


def test_a_thousand_brackets_are_read() -> None:
    raw = b"[" * 100_000
    assert CONVERTER.to_connect_header("t", "h", raw).schema in (BYTES, STRING)


@given(st.integers(-(2**63), 2**63 - 1) | st.booleans())
def test_numbers_and_booleans_come_back_as_they_went(value: Any) -> None:
    raw = CONVERTER.from_connect_header("t", "h", None, value)
    assert CONVERTER.to_connect_header("t", "h", raw).value == value


@given(st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2999, 1, 1)))
def test_times_come_back_to_the_millisecond(moment: dt.datetime) -> None:
    value = moment.replace(microsecond=123000, tzinfo=dt.UTC)
    raw = CONVERTER.from_connect_header("t", "h", TIMESTAMP, value)
    assert CONVERTER.to_connect_header("t", "h", raw) == (TIMESTAMP, value)


@given(st.lists(st.text(alphabet="abcü")))
def test_lists_of_words_come_back_as_they_went(value: list[str]) -> None:
    raw = CONVERTER.from_connect_header("t", "h", None, value)
    assert CONVERTER.to_connect_header("t", "h", raw).value == value


def test_a_value_without_a_text_is_a_data_error() -> None:
    with pytest.raises(DataError, match="unexpected value type object"):
        CONVERTER.from_connect_header("t", "h", None, object())
