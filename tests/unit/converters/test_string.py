"""Text converters, above all that a batch is what its records are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api.errors import ConfigError, DataError
from engine.api.record import Column, SchemaAndValue, column_of
from engine.api.schema import FLOAT32, OPTIONAL_BYTES, OPTIONAL_STRING, STRING
from engine.converters.byte_array import ByteArrayConverter
from engine.converters.string import StringConverter, StringHeaderConverter

texts = st.lists(st.none() | st.text())
blobs = st.lists(st.none() | st.binary())


def string_converter(encoding: str = "UTF-8") -> StringConverter:
    made = StringConverter()
    made.configure({"converter.encoding": encoding}, is_key=False)
    return made


def test_utf8_bytes_go_through_untouched_both_ways() -> None:
    raw = [b"a", "ü".encode(), b"\xff broken", None]
    column = string_converter().to_connect_batch("t", raw)
    assert column.utf8
    assert column.schema == OPTIONAL_STRING
    assert string_converter().from_connect_batch("t", column) is raw


@given(texts)
def test_a_batch_of_strings_is_written_as_its_records_are(values: list[str | None]) -> None:
    converter = string_converter()
    single = [converter.from_connect_data("t", STRING, value) for value in values]
    assert converter.from_connect_batch("t", Column(values, STRING)) == single


@given(blobs)
def test_a_batch_of_bytes_is_read_as_its_records_are(raw: list[bytes | None]) -> None:
    valid = [None if r is None else r.decode("utf-8", "replace").encode() for r in raw]
    converter = string_converter()
    single = [converter.to_connect_data("t", r).value for r in valid]
    assert list(converter.to_connect_batch("t", valid)) == single


@pytest.mark.parametrize("encoding", ["ISO-8859-1", "UTF-16", "UTF-16LE", "US-ASCII", "UTF-32"])
def test_other_encodings_come_back_as_they_went(encoding: str) -> None:
    converter = string_converter(encoding)
    column = Column(["text", None, ""], STRING)
    assert list(converter.to_connect_batch("t", converter.from_connect_batch("t", column))) == [
        "text",
        None,
        "",
    ]


def test_a_utf8_column_is_encoded_anew_for_another_encoding() -> None:
    column = Column(["ü".encode()], STRING, utf8=True)
    assert string_converter("ISO-8859-1").from_connect_batch("t", column) == [b"\xfc"]


def test_values_of_any_type_become_their_text() -> None:
    column = column_of([SchemaAndValue(None, 1), SchemaAndValue(FLOAT32, 0.1)])
    assert string_converter().from_connect_batch("t", column) == [b"1", b"0.1"]


def test_an_unknown_encoding_is_refused_with_its_name() -> None:
    with pytest.raises(ConfigError, match="unknown encoding klingon"):
        string_converter("klingon")


def test_a_header_is_converted_like_a_value() -> None:
    converter = StringHeaderConverter()
    converter.configure({})
    assert converter.from_connect_header("t", "h", None, 5) == b"5"
    assert converter.to_connect_header("t", "h", b"5") == SchemaAndValue(OPTIONAL_STRING, "5")


def test_bytes_go_through_untouched_both_ways() -> None:
    raw = [b"\xff", None]
    converter = ByteArrayConverter()
    column = converter.to_connect_batch("t", raw)
    assert column.schema == OPTIONAL_BYTES
    assert converter.from_connect_batch("t", column) is raw


def test_text_is_no_bytes() -> None:
    converter = ByteArrayConverter()
    with pytest.raises(DataError, match="Invalid schema type for ByteArrayConverter: STRING"):
        converter.from_connect_batch("t", Column([b"a"], STRING, utf8=True))
    with pytest.raises(DataError, match="not compatible with objects of type <class 'str'>"):
        converter.from_connect_batch("t", Column([b"a", "b"]))


def test_other_kinds_of_bytes_are_taken() -> None:
    column = Column([bytearray(b"a"), memoryview(b"b")])
    assert ByteArrayConverter().from_connect_batch("t", column) == [b"a", b"b"]
