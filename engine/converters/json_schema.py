"""Schemas as JSON documents, in the form that Kafka's JsonConverter puts into its envelope."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from engine.api.errors import DataError
from engine.api.schema import Field, Schema, Type
from engine.converters.json_text import text_json

Reader = Callable[[Schema, Any], Any]
Writer = Callable[[Schema, Any], str]


def schema_json(schema: Schema | None, write_value: Writer, field: str | None = None) -> str:
    """The schema's text; its keys are in Kafka's order.

    Args:
        write_value: writes a default.
        field: the name of the struct's field that has this schema.
    """
    if schema is None:
        return "null"
    parts = [f'"type":"{schema.type.value}"', *_inner(schema, write_value)]
    parts.append(f'"optional":{"true" if schema.optional else "false"}')
    if schema.name is not None:
        parts.append(f'"name":{text_json(schema.name)}')
    if schema.version is not None:
        parts.append(f'"version":{schema.version}')
    if schema.doc is not None:
        parts.append(f'"doc":{text_json(schema.doc)}')
    if schema.parameters is not None:
        pairs = (f"{text_json(k)}:{text_json(v)}" for k, v in schema.parameters.items())
        parts.append(f'"parameters":{{{",".join(pairs)}}}')
    if schema.default is not None:
        parts.append(f'"default":{write_value(schema, schema.default)}')
    if field is not None:
        parts.append(f'"field":{text_json(field)}')
    return f"{{{','.join(parts)}}}"


def _inner(schema: Schema, write_value: Writer) -> list[str]:
    if schema.type is Type.ARRAY:
        return [f'"items":{schema_json(schema.value_schema, write_value)}']
    if schema.type is Type.MAP:
        return [
            f'"keys":{schema_json(schema.key_schema, write_value)}',
            f'"values":{schema_json(schema.value_schema, write_value)}',
        ]
    if schema.type is Type.STRUCT:
        fields = (schema_json(f.schema, write_value, f.name) for f in schema.fields)
        return [f'"fields":[{",".join(fields)}]']
    return []


_TYPES: Final[Mapping[str, Type]] = {each.value: each for each in Type}


def schema_of(node: Any, read_value: Reader) -> Schema | None:
    """The schema that a parsed document describes.

    Args:
        read_value: reads a default.

    Raises:
        DataError: it describes none.
    """
    if node is None:
        return None
    name = node.get("type") if isinstance(node, dict) else None
    if not isinstance(name, str):
        raise DataError("Schema must contain 'type' field")
    kind = _TYPES.get(name)
    if kind is None:
        raise DataError(f"Unknown schema type: {name}")
    made: dict[str, Any] = {"type": kind, **_inner_of(kind, node, read_value)}
    made |= _attributes(node)
    if "default" not in node:
        return Schema(**made)
    return Schema(**made, default=read_value(Schema(**made), node["default"]))


def _attributes(node: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes; those of a wrong type count as absent."""
    name, version, doc = node.get("name"), node.get("version"), node.get("doc")
    is_version = isinstance(version, int) and not isinstance(version, bool)
    return {
        "optional": node.get("optional") is True,
        "name": name if isinstance(name, str) else None,
        "version": version if is_version else None,
        "doc": doc if isinstance(doc, str) else None,
        "parameters": _parameters(node.get("parameters")),
    }


def _parameters(node: Any) -> dict[str, str] | None:
    if not isinstance(node, dict) or not node:
        return None
    if not all(isinstance(value, str) for value in node.values()):
        raise DataError("Schema parameters must have string values.")
    return dict(node)


def _inner_of(kind: Type, node: Mapping[str, Any], read_value: Reader) -> dict[str, Any]:
    if kind is Type.ARRAY:
        if node.get("items") is None:
            raise DataError("Array schema did not specify the element type")
        return {"value_schema": schema_of(node["items"], read_value)}
    if kind is Type.MAP:
        for part, called in (("keys", "key"), ("values", "value")):
            if part not in node:
                raise DataError(f"Map schema did not specify the {called} type")
        return {
            "key_schema": schema_of(node["keys"], read_value),
            "value_schema": schema_of(node["values"], read_value),
        }
    if kind is Type.STRUCT:
        return {"fields": _fields(node.get("fields"), read_value)}
    return {}


def _fields(nodes: Any, read_value: Reader) -> tuple[Field, ...]:
    if not isinstance(nodes, list):
        raise DataError('Struct schema\'s "fields" argument is not an array.')
    made: list[Field] = []
    for index, node in enumerate(nodes):
        name = node.get("field") if isinstance(node, dict) else None
        if not isinstance(name, str):
            raise DataError("Struct schema's field name not specified properly")
        schema = schema_of(node, read_value)
        assert schema is not None
        made.append(Field(name, index, schema))
    return tuple(made)
