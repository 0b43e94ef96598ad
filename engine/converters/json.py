"""JSON, with the schema in an envelope or without (upstream: ``JsonConverter``)."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from engine.api.config import (
    HIGH,
    LOW,
    ConfigKeys,
    ConfigType,
    at_least,
    config,
    key,
    keys_of,
    one_of,
    parse,
)
from engine.api.converter import Converter
from engine.api.errors import DataError
from engine.api.record import Column, Headers, SchemaAndValue, column_of
from engine.api.schema import Schema
from engine.converters.header import HeaderConverterOf
from engine.converters.json_reader import JsonReader, Read, has_decimals
from engine.converters.json_schema import schema_json, schema_of
from engine.converters.json_text import (
    MISSING,
    decode,
    decode_tolerant,
    encode,
    schemaless,
    to_utf8,
)
from engine.converters.json_writer import JsonWriter, Write

_NO_ENVELOPE: Final = (
    'JsonConverter with schemas.enable requires "schema" and "payload" fields and may not contain '
    "additional fields. If you are trying to deserialize plain JSON data, set schemas.enable=false "
    "in your converter configuration."
)
_UNREADABLE: Final = "Converting byte[] to Kafka Connect data failed due to serialization error: "
K = TypeVar("K")
V = TypeVar("V")


@config
class JsonConverterConfig:
    """What the converter can be told."""

    schemas_enable: bool = key(
        "schemas.enable",
        default=True,
        importance=HIGH,
        group="Schemas",
        width="MEDIUM",
        display_name="Enable Schemas",
        doc="Whether the schema stands beside each value.",
    )
    cache_size: int = key(
        "schemas.cache.size",
        default=1000,
        type=ConfigType.INT,
        importance=HIGH,
        group="Schemas",
        width="MEDIUM",
        display_name="Schema Cache Size",
        check=at_least(0),
        doc="The most schemas that are remembered.",
    )
    schema_content: str | None = key(
        "schema.content",
        default=None,
        importance=HIGH,
        group="Schemas",
        width="MEDIUM",
        display_name="Schema Content",
        doc="The schema of every record read, which then stand without an envelope.",
    )
    decimal_format: str = key(
        "decimal.format",
        default="BASE64",
        importance=LOW,
        group="Serialization",
        width="MEDIUM",
        display_name="Decimal Format",
        check=one_of("BASE64", "NUMERIC", ignore_case=True),
        doc="Whether decimals are written as Base64 or as numbers; both are read.",
    )
    replace_null_with_default: bool = key(
        "replace.null.with.default", default=True, importance=LOW, group="Schemas",
        width="MEDIUM", display_name="Replace null with default",
        doc="Whether a null becomes its field's default.",
    )  # fmt: skip


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    schema: msgspec.Raw
    payload: msgspec.Raw


class _Reading(NamedTuple):
    """A schema and how to read values of it."""

    schema: Schema | None
    decode: Callable[[bytes], Any]
    read: Read


class _Writing(NamedTuple):
    """What stands before a value of a schema, and how to write it."""

    head: str
    write: Write


class _Cache(Generic[K, V]):
    """The last used values; one thread."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, name: K, make: Callable[[], V]) -> V:
        """The value of that name, made when it is not there."""
        found = self._values.get(name)
        if found is None:
            found = make()
            self._values[name] = found
            if len(self._values) > self._size:
                self._values.popitem(last=False)
        return found


class JsonConverter(Converter):
    """JSON as Kafka's own converter writes and reads it."""

    def __init__(self) -> None:
        self._use(JsonConverterConfig())

    def config(self) -> ConfigKeys:
        """``schemas.enable``, ``decimal.format`` and others."""
        return keys_of(JsonConverterConfig)

    def configure(self, config: Mapping[str, str], *, is_key: bool) -> None:
        """Take the configuration."""
        del is_key
        self._use(parse(JsonConverterConfig, config))

    def _use(self, config: JsonConverterConfig) -> None:
        self._schemas = config.schemas_enable
        self._reader = JsonReader(replace_nulls=config.replace_null_with_default)
        self._writer = JsonWriter(
            numeric_decimals=config.decimal_format.upper() == "NUMERIC",
            replace_nulls=config.replace_null_with_default,
        )
        self._readings: _Cache[bytes, _Reading] = _Cache(config.cache_size)
        self._writings: _Cache[Schema | None, _Writing] = _Cache(config.cache_size)
        self._envelope = msgspec.json.Decoder(_Envelope)
        self._fixed = self._fixed_schema(config.schema_content)

    def _fixed_schema(self, text: str | None) -> _Reading | None:
        if not text or not self._schemas:
            return None
        try:
            node = decode_tolerant(text.encode())
        except ValueError as error:
            raise DataError(
                "Failed to parse schema in converter config due to serialization error: "
            ) from error
        reading = self._reading_of(node)
        return None if reading.schema is None else reading

    def from_connect_data(
        self, topic: str, schema: Schema | None, value: Any, headers: Headers = ()
    ) -> bytes | None:
        """The value as JSON; None without a schema is a tombstone."""
        del topic, headers
        if schema is None:
            if value is None:
                return None
            body = encode(value)
            return b'{"schema":null,"payload":' + body + b"}" if self._schemas else body
        writing = self._writing(schema)
        body = to_utf8(writing.head + writing.write(value))
        return body + b"}" if self._schemas else body

    def from_connect_batch(self, topic: str, column: Column) -> Sequence[bytes | None]:
        """The column as JSON."""
        schema = column.schema
        if schema is None:
            return self._schemaless_batch(topic, column)
        head, write = self._writing(schema)
        tail = "}" if self._schemas else ""
        return [to_utf8(f"{head}{write(value)}{tail}") for value in column]

    def _schemaless_batch(self, topic: str, column: Column) -> Sequence[bytes | None]:
        if self._schemas or column.schemas is not None:
            return super().from_connect_batch(topic, column)
        return [None if value is None else encode(value) for value in column]

    def _writing(self, schema: Schema) -> _Writing:
        return self._writings.get(schema, lambda: self._writing_of(schema))

    def _writing_of(self, schema: Schema) -> _Writing:
        write = self._writer.writer(schema)
        if not self._schemas:
            return _Writing("", write)
        return _Writing(f'{{"schema":{schema_json(schema, self._writer.write)},"payload":', write)

    def to_connect_data(
        self, topic: str, value: bytes | None, headers: Headers = ()
    ) -> SchemaAndValue:
        """The value and, when envelopes are on, its schema."""
        del topic, headers
        if value is None:
            return SchemaAndValue(None, None)
        try:
            if not self._schemas:
                return SchemaAndValue(None, decode(value))
            if self._fixed is not None:
                node = self._fixed.decode(value)
                return SchemaAndValue(self._fixed.schema, self._fixed.read(node))
            return self._read_envelope(value)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise DataError(_UNREADABLE) from error

    def to_connect_batch(self, topic: str, raw: Sequence[bytes | None]) -> Column:
        """The values."""
        if not self._schemas and None not in raw:
            try:
                return Column([decode(value) for value in raw if value is not None])
            except (ValueError, RecursionError) as error:
                raise DataError(_UNREADABLE) from error
        return column_of([self.to_connect_data(topic, value) for value in raw])

    def _read_envelope(self, value: bytes) -> SchemaAndValue:
        try:
            envelope = self._envelope.decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return self._read_tolerantly(value)
        text = bytes(envelope.schema)
        reading = self._readings.get(text, lambda: self._reading_of(decode_tolerant(text)))
        node = reading.decode(bytes(envelope.payload))
        return SchemaAndValue(reading.schema, reading.read(node))

    def _read_tolerantly(self, value: bytes) -> SchemaAndValue:
        """An envelope that only Jackson takes for JSON, or none."""
        document = decode_tolerant(value)
        if not isinstance(document, dict) or set(document) != {"schema", "payload"}:
            raise DataError(_NO_ENVELOPE)
        reading, node = self._reading_of(document["schema"]), document["payload"]
        read = schemaless if reading.schema is None else reading.read
        return SchemaAndValue(reading.schema, read(node))

    def _reading_of(self, node: Any) -> _Reading:
        schema = schema_of(None if node is MISSING else node, self._reader.read)
        read = self._reader.reader(schema)
        if schema is None:
            return _Reading(None, decode, lambda value: value)
        return _Reading(schema, _decoder(exact=has_decimals(schema)), read)


def _decoder(*, exact: bool) -> Callable[[bytes], Any]:
    """A function that parses JSON; numbers stay exact when asked."""
    fast = msgspec.json.Decoder(float_hook=Decimal if exact else None).decode

    def parse_json(data: bytes) -> Any:
        try:
            return fast(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return decode_tolerant(data)

    return parse_json


class JsonHeaderConverter(HeaderConverterOf):
    """The same for headers."""

    converter_class = JsonConverter
