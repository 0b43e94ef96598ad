"""Values with a schema to JSON: one function per schema, made once."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from engine.api.errors import DataError
from engine.api.schema import DECIMAL_NAME, Schema, Type
from engine.api.struct import Struct, fits_integer
from engine.converters.json_text import bytes_json, float_json, schemaless_json, text_json
from engine.converters.logical import TO_BASE

Write = Callable[[Any], str]


class JsonWriter:
    """Makes functions that write values of a schema.

    Args:
        numeric_decimals: write decimals as numbers, not as Base64.
        replace_nulls: write a default in the place of None.
    """

    def __init__(self, *, numeric_decimals: bool, replace_nulls: bool) -> None:
        self._numeric_decimals = numeric_decimals
        self._replace_nulls = replace_nulls

    def write(self, schema: Schema, value: Any) -> str:
        """The text of one value."""
        return self.writer(schema)(value)

    def writer(self, schema: Schema | None) -> Write:
        """A function that writes values of the schema, None among them.

        It raises DataError for a value that does not fit.
        """
        if schema is None:
            return schemaless_json
        inner = self._logical(schema) or self._plain(schema)
        null = self._null(schema, inner)

        def write(value: Any) -> str:
            if value is not None:
                return inner(value)
            if null is None:
                raise DataError(
                    "Conversion error: null value for field that is required "
                    "and has no default value"
                )
            return null

        return write

    def _null(self, schema: Schema, inner: Write) -> str | None:
        if schema.default is not None and self._replace_nulls:
            return inner(schema.default)
        return "null" if schema.optional else None

    def _logical(self, schema: Schema) -> Write | None:
        if schema.name == DECIMAL_NAME and self._numeric_decimals:
            return _number_of_decimal
        to_base = TO_BASE.get(schema.name or "")
        if to_base is None:
            return None
        convert, plain = to_base, self._plain(schema)
        return lambda value: plain(convert(schema, value))

    def _plain(self, schema: Schema) -> Write:
        kind = schema.type
        if kind is Type.ARRAY:
            return self._array(schema)
        if kind is Type.MAP:
            return self._map(schema)
        if kind is Type.STRUCT:
            return self._struct(schema)
        made = _PRIMITIVES.get(kind)
        return made if made is not None else _integer(kind)

    def _array(self, schema: Schema) -> Write:
        element = self.writer(schema.value_schema)

        def write(value: Any) -> str:
            if not isinstance(value, (list, tuple)):
                raise _wrong(Type.ARRAY, value)
            return f"[{','.join(map(element, value))}]"

        return write

    def _map(self, schema: Schema) -> Write:
        key, element = self.writer(schema.key_schema), self.writer(schema.value_schema)
        known = schema.key_schema
        is_object = None if known is None else known.type is Type.STRING

        def write(value: Any) -> str:
            if not isinstance(value, Mapping):
                raise _wrong(Type.MAP, value)
            as_object = all(isinstance(k, str) for k in value) if is_object is None else is_object
            pairs = [(key(k), element(v)) for k, v in value.items()]
            if as_object:
                return f"{{{','.join(f'{k}:{v}' for k, v in pairs)}}}"
            return f"[{','.join(f'[{k},{v}]' for k, v in pairs)}]"

        return write

    def _struct(self, schema: Schema) -> Write:
        fields = [(text_json(f.name), self.writer(f.schema)) for f in schema.fields]

        def write(value: Any) -> str:
            if not isinstance(value, Struct):
                raise _wrong(Type.STRUCT, value)
            if value.schema != schema:
                raise DataError("Mismatching schema.")
            pairs = zip(fields, value.values(), strict=True)
            return f"{{{','.join(f'{name}:{field(each)}' for (name, field), each in pairs)}}}"

        return write


def _wrong(kind: Type, value: Any) -> DataError:
    return DataError(f"Invalid type for {kind.name}: {type(value)}")


def _integer(kind: Type) -> Write:
    def write(value: Any) -> str:
        if type(value) is not int:
            raise _wrong(kind, value)
        if not fits_integer(kind, value):
            raise DataError(f"Value {value} is out of range for {kind.name}")
        return str(value)

    return write


def _float(kind: Type) -> Write:
    single = kind is Type.FLOAT32

    def write(value: Any) -> str:
        if type(value) is not float and (isinstance(value, bool) or not isinstance(value, int)):
            raise _wrong(kind, value)
        return float_json(float(value), single=single)

    return write


def _boolean(value: Any) -> str:
    if not isinstance(value, bool):
        raise _wrong(Type.BOOLEAN, value)
    return "true" if value else "false"


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(Type.STRING, value)
    return text_json(value)


def _bytes(value: Any) -> str:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise DataError(f"Invalid type for bytes type: {type(value)}")
    return bytes_json(value)


def _number_of_decimal(value: Any) -> str:
    if not isinstance(value, Decimal) or not value.is_finite():
        raise DataError(f"Invalid type for Decimal, expected Decimal but was {type(value)}")
    return str(value)


_PRIMITIVES: Final[Mapping[Type, Write]] = {
    Type.FLOAT32: _float(Type.FLOAT32),
    Type.FLOAT64: _float(Type.FLOAT64),
    Type.BOOLEAN: _boolean,
    Type.STRING: _string,
    Type.BYTES: _bytes,
}
