"""JSON to values of a schema: one function per schema, made once. As lenient as Kafka's."""

import binascii
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from engine.api.errors import DataError
from engine.api.schema import DECIMAL_NAME, Schema, Type
from engine.api.struct import Struct
from engine.converters.json_text import MISSING, schemaless, wrapped
from engine.converters.logical import FROM_BASE, scale_of

Read = Callable[[Any], Any]

_BITS: Final[Mapping[Type, int]] = {Type.INT8: 8, Type.INT16: 16, Type.INT32: 32, Type.INT64: 64}
_WORD_BITS: Final = 64


class JsonReader:
    """Makes functions that read values of a schema from parsed JSON.

    Args:
        replace_nulls: read a default in the place of null.
    """

    def __init__(self, *, replace_nulls: bool) -> None:
        self._replace_nulls = replace_nulls

    def read(self, schema: Schema, node: Any) -> Any:
        """One value."""
        return self.reader(schema)(node)

    def reader(self, schema: Schema | None) -> Read:
        """A function that reads values of the schema.

        It raises DataError for a document that has none.
        """
        if schema is None:
            return schemaless
        inner = self._logical(schema) or self._plain(schema)
        default, kind = schema.default, schema.type.name
        replace = self._replace_nulls and default is not None
        optional = schema.optional

        def read(node: Any) -> Any:
            if node is not None:
                return inner(node)
            if replace:
                return default
            if optional:
                return None
            raise DataError(f"Invalid null value for required {kind} field")

        return read

    def _logical(self, schema: Schema) -> Read | None:
        if schema.name == DECIMAL_NAME:
            return lambda node: _decimal(schema, node)
        from_base = FROM_BASE.get(schema.name or "")
        if from_base is None:
            return None
        convert, plain = from_base, self._plain(schema)
        return lambda node: convert(schema, plain(node))

    def _plain(self, schema: Schema) -> Read:
        kind = schema.type
        if kind is Type.ARRAY:
            element = self.reader(schema.value_schema)
            return lambda node: [element(each) for each in _elements(node)]
        if kind is Type.MAP:
            return self._map(schema)
        if kind is Type.STRUCT:
            return self._struct(schema)
        bits = _BITS.get(kind)
        return _PRIMITIVES[kind] if bits is None else lambda node: _integer(node, bits)

    def _map(self, schema: Schema) -> Read:
        key, element = self.reader(schema.key_schema), self.reader(schema.value_schema)
        has_text_keys = schema.key_schema is not None and schema.key_schema.type is Type.STRING

        def read_object(node: Any) -> Any:
            if not isinstance(node, dict):
                raise DataError(
                    f"Maps with string fields should be encoded as JSON objects, "
                    f"but found {_kind(node)}"
                )
            return {name: element(each) for name, each in node.items()}

        def read_pairs(node: Any) -> Any:
            if not isinstance(node, list):
                raise DataError(
                    "Maps with non-string fields should be encoded as JSON array of tuples, "
                    f"but found {_kind(node)}"
                )
            pairs = (_pair(each) for each in node)
            return {key(name): element(each) for name, each in pairs}

        return read_object if has_text_keys else read_pairs

    def _struct(self, schema: Schema) -> Read:
        fields = [(f.name, self.reader(f.schema)) for f in schema.fields]

        def read(node: Any) -> Struct:
            if not isinstance(node, dict):
                raise DataError(
                    f"Structs should be encoded as JSON objects, but found {_kind(node)}"
                )
            get = node.get
            return Struct.of_values(schema, [field(get(name)) for name, field in fields])

        return read


def has_decimals(schema: Schema | None) -> bool:
    """Whether numbers of the document must be read without loss."""
    if schema is None:
        return False
    inner = [schema.key_schema, schema.value_schema, *(f.schema for f in schema.fields)]
    return schema.name == DECIMAL_NAME or any(map(has_decimals, inner))


def _pair(node: Any) -> list[Any]:
    if not isinstance(node, list):
        raise DataError(f"Found invalid map entry instead of array tuple: {_kind(node)}")
    if len(node) != 2:
        raise DataError(f"Found invalid map entry, expected length 2 but found :{len(node)}")
    return node


def _elements(node: Any) -> Iterable[Any]:
    """What Jackson's nodes are iterated as: nothing but containers has elements."""
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def _kind(node: Any) -> str:
    """Jackson's word for a kind of node."""
    if node is MISSING:
        return "MISSING"
    for kinds, name in _NODE_KINDS:
        if isinstance(node, kinds):
            return name
    return "NULL"


_NODE_KINDS: Final[tuple[tuple[tuple[type, ...], str], ...]] = (
    ((bool,), "BOOLEAN"),
    ((int, float, Decimal), "NUMBER"),
    ((str,), "STRING"),
    ((list,), "ARRAY"),
    ((dict,), "OBJECT"),
)


def _integer(node: Any, bits: int) -> int:
    if type(node) is int:
        return wrapped(node, bits)
    if isinstance(node, float):
        return wrapped(int(node), bits)
    if isinstance(node, Decimal):
        # A multiple of 10^64 has 64 zero bits at its end: nothing else need be worked out.
        return 0 if node.adjusted() > 10 * _WORD_BITS else wrapped(int(node), bits)
    return 0


def _float(node: Any) -> float:
    if isinstance(node, (int, float, Decimal)) and not isinstance(node, bool):
        try:
            return float(node)
        except OverflowError:
            return float("inf") if node > 0 else float("-inf")
    return 0.0


def _bytes(node: Any) -> bytes | None:
    if not isinstance(node, str):
        return None
    try:
        return binascii.a2b_base64(node, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise DataError("Invalid bytes field") from error


def _decimal(schema: Schema, node: Any) -> Decimal:
    if isinstance(node, str):
        try:
            scale_of(schema)
            found = FROM_BASE[DECIMAL_NAME](schema, binascii.a2b_base64(node, strict_mode=True))
        except (binascii.Error, ValueError, DataError) as error:
            raise DataError("Invalid bytes for Decimal field") from error
        assert isinstance(found, Decimal)
        return found
    if isinstance(node, (int, float, Decimal)) and not isinstance(node, bool):
        return Decimal(node)
    raise DataError(
        "Invalid type for Decimal, underlying representation should be numeric or bytes "
        f"but was {_kind(node)}"
    )


_PRIMITIVES: Final[Mapping[Type, Read]] = {
    Type.FLOAT32: _float,
    Type.FLOAT64: _float,
    Type.BOOLEAN: lambda node: node is True,
    Type.STRING: lambda node: node if isinstance(node, str) else None,
    Type.BYTES: _bytes,
}
