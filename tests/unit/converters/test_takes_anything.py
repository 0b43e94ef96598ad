"""Converters for which no bytes are bad are asked late, where an error would find nobody."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api.converter import Converter, HeaderConverter
from engine.converters.byte_array import ByteArrayConverter
from engine.converters.simple_header import SimpleHeaderConverter
from engine.converters.string import StringConverter

ENCODINGS = ("UTF-8", "UTF-16", "US-ASCII", "ISO-8859-1", "windows-1252", "Shift_JIS", "UTF-32")


def strings(encoding: str) -> StringConverter:
    made = StringConverter()
    made.configure({"converter.encoding": encoding}, is_key=True)
    return made


@pytest.mark.parametrize("converter", [ByteArrayConverter(), *map(strings, ENCODINGS)])
@given(value=st.none() | st.binary(max_size=40))
def test_no_bytes_are_bad_for_a_converter_that_takes_anything(
    converter: Converter, value: bytes | None
) -> None:
    assert converter.takes_anything
    single = converter.to_connect_data("t", value)
    assert converter.to_connect_batch("t", [value])[0] == single.value


@given(value=st.none() | st.binary(max_size=40))
def test_no_bytes_are_bad_for_headers_that_take_anything(value: bytes | None) -> None:
    converter: HeaderConverter = SimpleHeaderConverter()
    assert converter.takes_anything
    converter.to_connect_header("t", "k", value)
