"""Bytes as they are (upstream: ``ByteArrayConverter``)."""

from collections.abc import Sequence
from typing import Any

from engine.api.converter import Converter
from engine.api.errors import DataError
from engine.api.record import Column, Headers, SchemaAndValue
from engine.api.schema import OPTIONAL_BYTES, Schema, Type
from engine.converters.header import HeaderConverterOf


class ByteArrayConverter(Converter):
    """Hands bytes on; refuses everything else."""

    takes_anything = True

    def from_connect_data(
        self, topic: str, schema: Schema | None, value: Any, headers: Headers = ()
    ) -> bytes | None:
        """The bytes; None is a tombstone."""
        del topic, headers
        _check_schema(schema)
        return _checked(value)

    def to_connect_data(
        self, topic: str, value: bytes | None, headers: Headers = ()
    ) -> SchemaAndValue:
        """The bytes."""
        del topic, headers
        return SchemaAndValue(OPTIONAL_BYTES, value)

    def from_connect_batch(self, topic: str, column: Column) -> Sequence[bytes | None]:
        """The column itself when it holds nothing but bytes."""
        if column.schemas is not None:
            return super().from_connect_batch(topic, column)
        _check_schema(column.schema)
        data = column.data
        if not column.utf8 and set(map(type, data)) <= {bytes, type(None)}:
            return data
        return [_checked(value) for value in column]

    def to_connect_batch(self, topic: str, raw: Sequence[bytes | None]) -> Column:
        """The bytes."""
        del topic
        return Column(raw, OPTIONAL_BYTES)


def _check_schema(schema: Schema | None) -> None:
    if schema is not None and schema.type is not Type.BYTES:
        raise DataError(f"Invalid schema type for ByteArrayConverter: {schema.type.name}")


def _checked(value: Any) -> bytes | None:
    if value is None or type(value) is bytes:
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    raise DataError(f"ByteArrayConverter is not compatible with objects of type {type(value)}")


class ByteArrayHeaderConverter(HeaderConverterOf):
    """The same for headers."""

    converter_class = ByteArrayConverter
