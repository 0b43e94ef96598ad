"""Numbers and booleans in Kafka's own binary form, big-endian (upstream: ``NumberConverter``)."""

import struct
from typing import Any, ClassVar

from engine.api.converter import Converter
from engine.api.errors import DataError
from engine.api.record import Headers, SchemaAndValue
from engine.api.schema import (
    OPTIONAL_BOOLEAN,
    OPTIONAL_FLOAT32,
    OPTIONAL_FLOAT64,
    OPTIONAL_INT16,
    OPTIONAL_INT32,
    OPTIONAL_INT64,
    Schema,
)  # fmt: skip
from engine.converters.header import HeaderConverterOf


class NumberConverter(Converter):
    """A number of a fixed width; subclasses say which."""

    type_name: ClassVar[str]
    schema: ClassVar[Schema]
    layout: ClassVar[struct.Struct]
    accepts: ClassVar[tuple[type, ...]] = (int,)

    def from_connect_data(
        self, topic: str, schema: Schema | None, value: Any, headers: Headers = ()
    ) -> bytes | None:
        """The number's bytes; None is a tombstone."""
        del topic, schema, headers
        if value is None:
            return None
        try:
            if isinstance(value, bool) or not isinstance(value, self.accepts):
                raise TypeError(f"not a {self.type_name}: {value!r}")
            return self.layout.pack(value)
        except (TypeError, struct.error, OverflowError) as error:
            raise DataError(
                f"Failed to serialize to {self.type_name} (was {type(value)}): "
            ) from error

    def to_connect_data(
        self, topic: str, value: bytes | None, headers: Headers = ()
    ) -> SchemaAndValue:
        """The number."""
        del topic, headers
        if value is None:
            return SchemaAndValue(self.schema, None)
        try:
            return SchemaAndValue(self.schema, self.layout.unpack(value)[0])
        except struct.error as error:
            raise DataError(f"Failed to deserialize {self.type_name}: ") from error


class ShortConverter(NumberConverter):
    """16 bits."""

    type_name, schema, layout = "short", OPTIONAL_INT16, struct.Struct(">h")


class IntegerConverter(NumberConverter):
    """32 bits."""

    type_name, schema, layout = "integer", OPTIONAL_INT32, struct.Struct(">i")


class LongConverter(NumberConverter):
    """64 bits."""

    type_name, schema, layout = "long", OPTIONAL_INT64, struct.Struct(">q")


class FloatConverter(NumberConverter):
    """A floating point number of 32 bits."""

    type_name, schema, layout = "float", OPTIONAL_FLOAT32, struct.Struct(">f")
    accepts = (float, int)


class DoubleConverter(NumberConverter):
    """A floating point number of 64 bits."""

    type_name, schema, layout = "double", OPTIONAL_FLOAT64, struct.Struct(">d")
    accepts = (float, int)


class BooleanConverter(Converter):
    """One byte, 0 or 1."""

    def from_connect_data(
        self, topic: str, schema: Schema | None, value: Any, headers: Headers = ()
    ) -> bytes | None:
        """The byte; None is a tombstone."""
        del topic, headers
        if schema is not None and schema.type is not OPTIONAL_BOOLEAN.type:
            raise DataError(f"Invalid schema type for BooleanConverter: {schema.type.name}")
        if value is None:
            return None
        if not isinstance(value, bool):
            raise DataError(
                f"BooleanConverter is not compatible with objects of type {type(value)}"
            )
        return b"\x01" if value else b"\x00"

    def to_connect_data(
        self, topic: str, value: bytes | None, headers: Headers = ()
    ) -> SchemaAndValue:
        """The boolean."""
        del topic, headers
        if value not in (None, b"\x00", b"\x01"):
            raise DataError("Failed to deserialize boolean: ")
        return SchemaAndValue(OPTIONAL_BOOLEAN, None if value is None else value == b"\x01")


class ShortHeaderConverter(HeaderConverterOf):
    """The same for headers."""

    converter_class = ShortConverter


class IntegerHeaderConverter(HeaderConverterOf):
    """The same for headers."""

    converter_class = IntegerConverter


class LongHeaderConverter(HeaderConverterOf):
    """The same for headers."""

    converter_class = LongConverter


class FloatHeaderConverter(HeaderConverterOf):
    """The same for headers."""

    converter_class = FloatConverter


class DoubleHeaderConverter(HeaderConverterOf):
    """The same for headers."""

    converter_class = DoubleConverter


class BooleanHeaderConverter(HeaderConverterOf):
    """The same for headers."""

    converter_class = BooleanConverter
