"""Kafka Connect's types: what a value is, apart from how it is written down.

Values are plain Python: int, float, bool, str, bytes, list, dict and ``Struct``; logical types are
Decimal (``decimal.Decimal``), Date (``datetime.date``), Time (``datetime.time``) and Timestamp
(``datetime.datetime``, taken for UTC when it has no zone).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Type(StrEnum):
    """The types of Kafka Connect (upstream: ``Schema.Type``)."""

    INT8 = "int8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT32 = "float"
    FLOAT64 = "double"
    BOOLEAN = "boolean"
    STRING = "string"
    BYTES = "bytes"
    ARRAY = "array"
    MAP = "map"
    STRUCT = "struct"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a struct, at ``index``."""

    name: str
    index: int
    schema: "Schema"


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """The type of a value and what is known of it (upstream: ``ConnectSchema``); immutable.

    Its hash is made once, so that schemas can be keys of caches.

    Attributes:
        fields: of a STRUCT, in order.
        key_schema: of a MAP; None when its keys have no common schema.
        value_schema: of a MAP or an ARRAY; None when its elements have no common schema.
    """

    type: Type
    optional: bool = False
    default: Any = None
    name: str | None = None
    version: int | None = None
    doc: str | None = None
    parameters: Mapping[str, str] | None = None
    fields: tuple[Field, ...] = ()
    key_schema: "Schema | None" = None
    value_schema: "Schema | None" = None
    _fields_by_name: Mapping[str, Field] = field(init=False, repr=False)
    _hash: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_fields_by_name", {f.name: f for f in self.fields})
        known = (self.type, self.optional, self.name, self.version, self.doc)
        inner = (self.fields, self.key_schema, self.value_schema)
        # Default and parameters may not be hashable; equality looks at them.
        object.__setattr__(self, "_hash", hash((known, inner)))

    def field(self, name: str) -> Field | None:
        """The field of that name, or None."""
        return self._fields_by_name.get(name)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Schema) or self._hash != other._hash:
            return False
        return self._all() == other._all()

    def _all(self) -> tuple[Any, ...]:
        return (
            self.type, self.optional, self.default, self.name, self.version, self.doc,
            dict(self.parameters or {}), self.fields, self.key_schema, self.value_schema,
        )  # fmt: skip

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        return (
            f"Schema{{{self.name}:{self.type.name}}}"
            if self.name
            else f"Schema{{{self.type.name}}}"
        )


DECIMAL_NAME = "org.apache.kafka.connect.data.Decimal"
DATE_NAME = "org.apache.kafka.connect.data.Date"
TIME_NAME = "org.apache.kafka.connect.data.Time"
TIMESTAMP_NAME = "org.apache.kafka.connect.data.Timestamp"
"""Names of the logical types, as they stand in every schema ever written."""

INT8 = Schema(Type.INT8)
INT16 = Schema(Type.INT16)
INT32 = Schema(Type.INT32)
INT64 = Schema(Type.INT64)
FLOAT32 = Schema(Type.FLOAT32)
FLOAT64 = Schema(Type.FLOAT64)
BOOLEAN = Schema(Type.BOOLEAN)
STRING = Schema(Type.STRING)
BYTES = Schema(Type.BYTES)
OPTIONAL_INT8 = Schema(Type.INT8, optional=True)
OPTIONAL_INT16 = Schema(Type.INT16, optional=True)
OPTIONAL_INT32 = Schema(Type.INT32, optional=True)
OPTIONAL_INT64 = Schema(Type.INT64, optional=True)
OPTIONAL_FLOAT32 = Schema(Type.FLOAT32, optional=True)
OPTIONAL_FLOAT64 = Schema(Type.FLOAT64, optional=True)
OPTIONAL_BOOLEAN = Schema(Type.BOOLEAN, optional=True)
OPTIONAL_STRING = Schema(Type.STRING, optional=True)
OPTIONAL_BYTES = Schema(Type.BYTES, optional=True)
DATE = Schema(Type.INT32, name=DATE_NAME, version=1)
TIME = Schema(Type.INT32, name=TIME_NAME, version=1)
TIMESTAMP = Schema(Type.INT64, name=TIMESTAMP_NAME, version=1)
OPTIONAL_DATE = Schema(Type.INT32, name=DATE_NAME, version=1, optional=True)
OPTIONAL_TIME = Schema(Type.INT32, name=TIME_NAME, version=1, optional=True)
OPTIONAL_TIMESTAMP = Schema(Type.INT64, name=TIMESTAMP_NAME, version=1, optional=True)


def decimal_of(scale: int, *, optional: bool = False, default: Any = None) -> Schema:
    """The schema of decimal numbers with so many digits after the point."""
    return Schema(
        Type.BYTES,
        optional=optional,
        default=default,
        name=DECIMAL_NAME,
        version=1,
        parameters={"scale": str(scale)},
    )


def array_of(of: Schema | None, *, optional: bool = False) -> Schema:
    """The schema of lists."""
    return Schema(Type.ARRAY, optional=optional, value_schema=of)


def map_of(keys: Schema | None, values: Schema | None, *, optional: bool = False) -> Schema:
    """The schema of dictionaries."""
    return Schema(Type.MAP, optional=optional, key_schema=keys, value_schema=values)


def struct_of(
    fields: Mapping[str, Schema] | Iterable[tuple[str, Schema]],
    *,
    name: str | None = None,
    version: int | None = None,
    doc: str | None = None,
    optional: bool = False,
) -> Schema:
    """The schema of structs: ``struct_of({"id": INT64, "name": OPTIONAL_STRING})``."""
    pairs = fields.items() if isinstance(fields, Mapping) else fields
    made = tuple(Field(key, index, schema) for index, (key, schema) in enumerate(pairs))
    return Schema(
        Type.STRUCT, fields=made, name=name, version=version, doc=doc, optional=optional
    )  # fmt: skip
