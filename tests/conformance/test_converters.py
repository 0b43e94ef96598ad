"""Our converters against files that Apache Kafka's own converters have written."""

import base64
import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.api.converter import Converter, HeaderConverter
from engine.api.errors import DataError
from engine.api.record import SchemaAndValue
from engine.api.schema import DATE_NAME, TIME_NAME, Field, Schema, Type
from engine.api.struct import Struct
from engine.api.text import float_text
from engine.converters.logical import TO_BASE, milliseconds_of
from engine.plugins.registry import Plugins

GOLDEN = Path(__file__).parent / "golden" / "converters.json"
MS_PER_DAY = 86_400_000
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
Case = dict[str, Any]

ALLOWED_DIFFERENCES = {
    # A java.util.Date with a time of day under a Date schema is no datetime.date.
    '{"date": 5}',
    # The text of a date is a date by its schema, not by the number of its milliseconds.
    # A time after 24:00 is no datetime.time: it stays the text that it was.
    "25:00:00.000Z",
}


def cases() -> list[Case]:
    loaded: list[Case] = json.loads(GOLDEN.read_text("utf-8"))
    return [c for c in loaded if not any(d in _shown(c) for d in ALLOWED_DIFFERENCES)]


def _shown(case: Case) -> str:
    if "write" in case:
        return json.dumps(case["write"])
    return base64.b64decode(case["read"] or "").decode("utf-8", "replace")


def name_of(case: Case) -> str:
    kind = "reads" if "read" in case else "writes"
    config = ",".join(f"{k}={v[:20]}" for k, v in case["config"].items())
    return f"{case['class'].rpartition('.')[2]} {config} {kind} {_shown(case)[:60]}"


def converter_of(case: Case) -> Converter | HeaderConverter:
    if case["side"] == "header":
        header_converter = Plugins().find("header_converter", case["class"])()
        header_converter.configure(case["config"])
        return header_converter
    converter = Plugins().find("converter", case["class"])()
    converter.configure(case["config"], is_key=False)
    return converter


def schema_of(node: Any) -> Schema | None:
    if node is None:
        return None
    made: dict[str, Any] = {"type": Type[node["type"]]}
    for key in ("name", "version", "doc", "parameters", "optional"):
        if key in node:
            made[key] = node[key]
    if "fields" in node:
        fields = [(name, schema_of(inner)) for name, inner in node["fields"]]
        made["fields"] = tuple(Field(n, i, s) for i, (n, s) in enumerate(fields) if s)
    if made["type"] is Type.MAP:
        made["key_schema"] = schema_of(node["key"])
    if made["type"] in (Type.MAP, Type.ARRAY):
        made["value_schema"] = schema_of(node["value"])
    if "default" in node:
        made["default"] = value_of(node["default"], Schema(**made))
    return Schema(**made)


def value_of(node: Any, schema: Schema | None) -> Any:
    if node is None:
        return None
    ((kind, value),) = node.items()
    if kind in READERS:
        return READERS[kind](value)
    match kind:
        case "date":
            return date_of(value, schema)
        case "array":
            return [value_of(each, schema.value_schema if schema else None) for each in value]
        case "map":
            keys, values = (schema.key_schema, schema.value_schema) if schema else (None, None)
            return {value_of(k, keys): value_of(v, values) for k, v in value}
        case _:
            assert kind == "struct"
            assert schema
            return struct_of(value, schema)


READERS: dict[str, Callable[[Any], Any]] = {
    "int8": int,
    "int16": int,
    "int32": int,
    "int64": int,
    "float": float,
    "double": float,
    "bytes": base64.b64decode,
    "decimal": Decimal,
    "string": str,
    "boolean": bool,
}


def struct_of(pairs: Any, schema: Schema) -> Struct:
    made = Struct(schema)
    for name, node in pairs:
        field = schema.field(name)
        assert field
        if node is not None:
            made.put(name, value_of(node, field.schema))
    return made


def date_of(milliseconds: int, schema: Schema | None) -> Any:
    moment = EPOCH + dt.timedelta(milliseconds=milliseconds)
    if schema and schema.name == DATE_NAME:
        return moment.date()
    if schema and schema.name == TIME_NAME:
        return moment.time()
    return moment


def described(schema: Schema | None) -> Any:
    """A schema as the golden file describes it."""
    if schema is None:
        return None
    made: Case = {"type": schema.type.name, **inner_described(schema)}
    for key in ("name", "version", "doc", "parameters"):
        if getattr(schema, key) is not None:
            made[key] = getattr(schema, key)
    if schema.optional:
        made["optional"] = True
    if schema.default is not None:
        made["default"] = plain(schema.default, schema)
    return made


def inner_described(schema: Schema) -> Case:
    match schema.type:
        case Type.MAP:
            return {"key": described(schema.key_schema), "value": described(schema.value_schema)}
        case Type.ARRAY:
            return {"value": described(schema.value_schema)}
        case Type.STRUCT:
            return {"fields": [[f.name, described(f.schema)] for f in schema.fields]}
        case _:
            return {}


def plain(value: Any, schema: Schema | None) -> Any:
    """A value in a form that can be compared: no types but those that Python tells apart."""
    match value:
        case float():
            return float_text(value, single=bool(schema and schema.type is Type.FLOAT32))
        case dt.datetime():
            return milliseconds_of(value)
        case dt.date() | dt.time():
            assert schema
            base = TO_BASE[schema.name or ""](schema, value)
            return base * MS_PER_DAY if schema.name == DATE_NAME else base
        case bytes():
            return base64.b64encode(value).decode()
        case list():
            return [plain(v, schema.value_schema if schema else None) for v in value]
        case dict():
            keys, values = (schema.key_schema, schema.value_schema) if schema else (None, None)
            pairs = [[plain(k, keys), plain(v, values)] for k, v in value.items()]
            return sorted(pairs, key=repr)
        case Struct():
            return [[f.name, plain(value.get(f.name), f.schema)] for f in value.schema.fields]
        case _:
            return str(value) if isinstance(value, Decimal) else value


def golden_plain(node: Any) -> Any:
    """The same of the golden file's value."""
    if node is None:
        return None
    ((kind, value),) = node.items()
    if kind in ("int8", "int16", "int32", "int64"):
        return int(value)
    if kind == "array":
        return [golden_plain(each) for each in value]
    if kind == "map":
        return sorted([[golden_plain(k), golden_plain(v)] for k, v in value], key=repr)
    if kind == "struct":
        return [[name, golden_plain(each)] for name, each in value]
    return value


def golden_schema(node: Any) -> Any:
    """A described schema with its defaults in that form."""
    if node is None:
        return None
    made = dict(node)
    if "default" in made:
        made["default"] = golden_plain(made["default"])
    if "fields" in made:
        made["fields"] = [[name, golden_schema(inner)] for name, inner in made["fields"]]
    for key in ("key", "value"):
        if key in made:
            made[key] = golden_schema(made[key])
    return made


def written(converter: Converter | HeaderConverter, case: Case) -> bytes | None:
    schema = schema_of(case["write"]["schema"])
    value = value_of(case["write"]["value"], schema)
    if isinstance(converter, HeaderConverter):
        return converter.from_connect_header("t", "h", schema, value)
    return converter.from_connect_data("t", schema, value)


def read(converter: Converter | HeaderConverter, case: Case) -> SchemaAndValue:
    raw = None if case["read"] is None else base64.b64decode(case["read"])
    if isinstance(converter, HeaderConverter):
        return converter.to_connect_header("t", "h", raw)
    return converter.to_connect_data("t", raw)


def converted(case: Case) -> bytes | SchemaAndValue | None:
    converter = converter_of(case)
    return written(converter, case) if "write" in case else read(converter, case)


def without_class(message: str) -> str:
    """A message up to the name of a class, which is Java's there and Python's here."""
    for word in (": class ", ": <class ", "(was class ", "(was <class ", " type class ",
                 " type <class ", "Java class ", "Python <class "):  # fmt: skip
        message = message.partition(word)[0]
    return message


@pytest.mark.parametrize("case", cases(), ids=name_of)
def test_a_converter_does_what_kafkas_own_does(case: Case) -> None:
    result = case["result"]
    if "error" in result:
        with pytest.raises(DataError) as caught:
            converted(case)
        assert without_class(str(caught.value)) == without_class(result["message"])
    elif "write" in case:
        expected = None if result["bytes"] is None else base64.b64decode(result["bytes"])
        assert written(converter_of(case), case) == expected
    else:
        found = read(converter_of(case), case)
        assert described(found.schema) == golden_schema(result["schema"])
        assert plain(found.value, found.schema) == golden_plain(result["value"])
