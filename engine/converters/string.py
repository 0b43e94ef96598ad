"""Text as text: any value by its ``toString`` out, a string in (upstream: ``StringConverter``)."""

import codecs
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from engine.api.config import HIGH, ConfigKeys, config, key, keys_of, parse
from engine.api.converter import Converter
from engine.api.errors import DataError
from engine.api.record import Column, Headers, SchemaAndValue
from engine.api.schema import OPTIONAL_STRING, Schema
from engine.api.text import text_of
from engine.converters.header import HeaderConverterOf

_ENCODED_SURROGATE: Final = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
_REPLACEMENT: Final = "\ufffd".encode()


def _known_encoding(name: str) -> str | None:
    try:
        codecs.lookup(name)
    except LookupError:
        return f"unknown encoding {name}"
    return None


@config
class StringConverterConfig:
    """What the converter can be told."""

    encoding: str = key(
        "converter.encoding",
        default="UTF-8",
        doc="The name of the character set that strings are written in and read from.",
        importance=HIGH,
        check=_known_encoding,
        group="Encoding",
        width="MEDIUM",
        display_name="Encoding",
    )


class StringConverter(Converter):
    """Strings; in UTF-8, text that comes as bytes leaves as the same bytes."""

    takes_anything = True

    def __init__(self) -> None:
        self._encoding = "utf-8"

    def config(self) -> ConfigKeys:
        """``converter.encoding``."""
        return keys_of(StringConverterConfig)

    def configure(self, config: Mapping[str, str], *, is_key: bool) -> None:
        """Take the encoding."""
        del is_key
        self._encoding = codecs.lookup(parse(StringConverterConfig, config).encoding).name

    def from_connect_data(
        self,
        topic: str,
        schema: Schema | None,
        value: Any,
        headers: Headers = (),
    ) -> bytes | None:
        """The value's text; None is a tombstone."""
        del topic, headers
        if value is None:
            return None
        return self._encode(value if type(value) is str else text_of(value, schema))

    def to_connect_data(
        self, topic: str, value: bytes | None, headers: Headers = ()
    ) -> SchemaAndValue:
        """The text; bytes that are none become U+FFFD."""
        del headers
        if value is None:
            return SchemaAndValue(OPTIONAL_STRING, None)
        try:
            return SchemaAndValue(OPTIONAL_STRING, self._decode(value))
        except UnicodeError as error:
            raise DataError(f"Failed to deserialize string from topic {topic}: {error}") from error

    def from_connect_batch(self, topic: str, column: Column) -> Sequence[bytes | None]:
        """The column's texts; a column that is UTF-8 already is handed on as it is."""
        del topic
        data = column.data
        if self._encoding == "utf-8" and column.utf8:
            return data
        encode, schema_of = self._encode, column.schema_of
        return [
            None if v is None else encode(v if type(v) is str else text_of(v, schema_of(i)))
            for i, v in enumerate(column)
        ]

    def to_connect_batch(self, topic: str, raw: Sequence[bytes | None]) -> Column:
        """The texts; UTF-8 stays bytes until somebody looks at it."""
        if self._encoding == "utf-8":
            return Column(raw, OPTIONAL_STRING, utf8=True)
        values = [self.to_connect_data(topic, value).value for value in raw]
        return Column(values, OPTIONAL_STRING)

    def _encode(self, text: str) -> bytes:
        if self._encoding == "utf-16":  # Java writes it big-endian, with a mark
            return codecs.BOM_UTF16_BE + text.encode("utf-16-be", "replace")
        return text.encode(self._encoding, "replace")

    def _decode(self, value: bytes) -> str:
        if self._encoding == "utf-8":
            try:
                return str(value, "utf-8")
            except UnicodeDecodeError:  # Java replaces an encoded surrogate once, Python thrice
                return str(_ENCODED_SURROGATE.sub(_REPLACEMENT, value), "utf-8", "replace")
        has_mark = value[:2] in (codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE)
        if self._encoding == "utf-16" and not has_mark:
            return str(value, "utf-16-be", "replace")
        return str(value, self._encoding, "replace")


class StringHeaderConverter(HeaderConverterOf):
    """The same for headers."""

    converter_class = StringConverter
