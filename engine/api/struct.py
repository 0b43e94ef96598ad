"""Structs, and whether a value fits a schema (upstream: ``Struct``, ``ConnectSchema``)."""

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from engine.api.errors import DataError
from engine.api.schema import (
    DATE_NAME,
    DECIMAL_NAME,
    TIME_NAME,
    TIMESTAMP_NAME,
    Schema,
    Type,
)  # fmt: skip


class Struct:
    """A record of named fields with a schema; a field that was never set is None.

    Raises:
        DataError: a field is unknown or a value does not fit.
    """

    __slots__ = ("_values", "schema")

    @classmethod
    def of_values(cls, schema: Schema, values: list[Any]) -> "Struct":
        """A struct of values that are known to fit, one for each field, in order."""
        made = cls.__new__(cls)
        made.schema = schema
        made._values = values  # noqa: SLF001 (its own)
        return made

    def __init__(self, schema: Schema, values: Mapping[str, Any] | None = None) -> None:
        if schema.type is not Type.STRUCT:
            raise DataError(f"Not a struct schema: {schema}")
        self.schema = schema
        self._values: list[Any] = [None] * len(schema.fields)
        for name, value in (values or {}).items():
            self.put(name, value)

    def put(self, name: str, value: Any) -> "Struct":
        """Set a field."""
        field = self.schema.field(name)
        if field is None:
            raise DataError(f"{name} is not a valid field name")
        validate_value(field.schema, value, name)
        self._values[field.index] = value
        return self

    def get(self, name: str) -> Any:
        """The field's value, or its default when it is None."""
        field = self.schema.field(name)
        if field is None:
            raise DataError(f"{name} is not a valid field name")
        value = self._values[field.index]
        return field.schema.default if value is None else value

    def get_without_default(self, name: str) -> Any:
        """The field's value, None when it was not set."""
        field = self.schema.field(name)
        if field is None:
            raise DataError(f"{name} is not a valid field name")
        return self._values[field.index]

    def values(self) -> list[Any]:
        """The fields' values in the schema's order; None for what was not set."""
        return list(self._values)

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    def validate(self) -> None:
        """Check that every required field is set. Raise DataError otherwise."""
        for field, value in zip(self.schema.fields, self._values, strict=True):
            if value is not None or field.schema.default is None:
                validate_value(field.schema, value, field.name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Struct):
            return NotImplemented
        return self.schema == other.schema and self._values == other._values

    __hash__ = None  # type: ignore[assignment]  # its fields change

    def __repr__(self) -> str:
        pairs = zip(self.schema.fields, self._values, strict=True)
        shown = ",".join(f"{f.name}={v!r}" for f, v in pairs if v is not None)
        return f"Struct{{{shown}}}"


_CLASSES: Mapping[Type, tuple[type, ...]] = {
    Type.INT8: (int,),
    Type.INT16: (int,),
    Type.INT32: (int,),
    Type.INT64: (int,),
    Type.FLOAT32: (float, int),
    Type.FLOAT64: (float, int),
    Type.BOOLEAN: (bool,),
    Type.STRING: (str,),
    Type.BYTES: (bytes, bytearray, memoryview),
    Type.ARRAY: (list, tuple),
    Type.MAP: (Mapping,),
    Type.STRUCT: (Struct,),
}
_LOGICAL_CLASSES: Mapping[str, tuple[type, ...]] = {
    DECIMAL_NAME: (Decimal,),
    DATE_NAME: (dt.date,),
    TIME_NAME: (dt.time,),
    TIMESTAMP_NAME: (dt.datetime,),
}
_BITS: Mapping[Type, int] = {Type.INT8: 8, Type.INT16: 16, Type.INT32: 32, Type.INT64: 64}


def fits_integer(kind: Type, value: int) -> bool:
    """Whether an integer type can hold the number."""
    half = 1 << _BITS[kind] - 1
    return -half <= value < half


def validate_value(schema: Schema | None, value: Any, field: str | None = None) -> None:
    """Check that a value can be used with a schema.

    Raises:
        DataError: it cannot; the message names the field.
    """
    if schema is None:
        return
    where = f' for field: "{field}"' if field else ""
    if value is None:
        if not schema.optional:
            raise DataError(f"Invalid value: null used for required field{_quoted(field)}, "
                            f"schema type: {schema.type.name}")  # fmt: skip
        return
    if not _is_instance(schema, value):
        raise DataError(
            f"Invalid Python object for schema type {schema.type.name}: {type(value)}{where}"
        )
    _validate_inner(schema, value, where)


def _quoted(field: str | None) -> str:
    return f': "{field}"' if field else ""


def _is_instance(schema: Schema, value: Any) -> bool:
    expected = _LOGICAL_CLASSES.get(schema.name or "") or _CLASSES[schema.type]
    if isinstance(value, bool) and schema.type is not Type.BOOLEAN:
        return False
    return isinstance(value, expected)


def _validate_inner(schema: Schema, value: Any, where: str) -> None:
    if type(value) is int and schema.type in _BITS and not fits_integer(schema.type, value):
        raise DataError(f"Value {value} is out of range for {schema.type.name}{where}")
    if schema.type is Type.STRUCT:
        if value.schema != schema:
            raise DataError(f"Struct schemas do not match{where}.")
        value.validate()
    elif schema.type is Type.ARRAY:
        for entry in value:
            validate_value(schema.value_schema, entry)
    elif schema.type is Type.MAP:
        for key, entry in value.items():
            validate_value(schema.key_schema, key)
            validate_value(schema.value_schema, entry)
