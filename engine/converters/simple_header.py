"""Headers as text, with the types that the text suggests (upstream: ``SimpleHeaderConverter``)."""

from typing import Any

from engine.api.converter import HeaderConverter
from engine.api.record import SchemaAndValue
from engine.api.schema import BYTES, Schema
from engine.converters.values import value_text
from engine.model.literal import parse_string


class SimpleHeaderConverter(HeaderConverter):
    """Writes any value as text and reads text as what it looks like."""

    takes_anything = True

    def from_connect_header(
        self,
        topic: str,  # noqa: ARG002 (the interface's)
        key: str,  # noqa: ARG002 (the interface's)
        schema: Schema | None,
        value: Any,
    ) -> bytes | None:
        """The value's text."""
        return None if value is None else value_text(value, schema).encode("utf-8", "replace")

    def to_connect_header(
        self,
        topic: str,  # noqa: ARG002 (the interface's)
        key: str,  # noqa: ARG002 (the interface's)
        value: bytes | None,
    ) -> SchemaAndValue:
        """What the text looks like; the bytes themselves when it cannot be told."""
        if value is None:
            return SchemaAndValue(None, None)
        try:
            return parse_string(str(value, "utf-8", "replace"))
        except RecursionError:
            return SchemaAndValue(BYTES, value)
