"""Kafka Connect's types: what a value is, apart from how it is written down."""

from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Schema:
    """The type of a value and what is known of it (upstream: ``ConnectSchema``); immutable."""

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


STRING = Schema(Type.STRING)
OPTIONAL_STRING = Schema(Type.STRING, optional=True)
BYTES = Schema(Type.BYTES)
OPTIONAL_BYTES = Schema(Type.BYTES, optional=True)
