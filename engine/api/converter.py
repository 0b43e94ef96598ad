"""Between Kafka's bytes and Connect's data: converters of keys and values, and of headers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from engine.api.config import NO_KEYS, ConfigKeys
from engine.api.record import Column, Headers, SchemaAndValue, column_of
from engine.api.schema import Schema


class Converter(ABC):
    """Converts the keys or the values of records (upstream: ``Converter``).

    Made once per task and side, configured before the first record, used by one thread. The batch
    methods are what the engine calls; override them where a batch can be done faster than its
    records. A batch method that raises is followed by the same records one at a time, so that the
    bad one is found.

    Attributes:
        takes_anything: no bytes are bad for :meth:`to_connect_data`, so they may be converted when
            somebody asks for them, and never when nobody does.
    """

    takes_anything: ClassVar[bool] = False

    def config(self) -> ConfigKeys:
        """The keys this converter knows, without the ``key.converter.`` prefix."""
        return NO_KEYS

    def configure(self, config: Mapping[str, str], *, is_key: bool) -> None:
        """Take the configuration, prefix cut off. Raise ConfigError when it cannot work."""

    @abstractmethod
    def from_connect_data(
        self, topic: str, schema: Schema | None, value: Any, headers: Headers = ()
    ) -> bytes | None:
        """Connect's value as bytes; None is a tombstone. Raise DataError for a bad value."""

    @abstractmethod
    def to_connect_data(
        self, topic: str, value: bytes | None, headers: Headers = ()
    ) -> SchemaAndValue:
        """Kafka's bytes as Connect's value. Raise DataError for bytes that do not parse."""

    def from_connect_batch(self, topic: str, column: Column) -> Sequence[bytes | None]:
        """A column as bytes, in order."""
        convert, schema_of = self.from_connect_data, column.schema_of
        return [convert(topic, schema_of(i), value) for i, value in enumerate(column)]

    def to_connect_batch(self, topic: str, raw: Sequence[bytes | None]) -> Column:
        """Bytes as a column, in order."""
        convert = self.to_connect_data
        return column_of([convert(topic, value) for value in raw])

    def close(self) -> None:
        """Give back what :meth:`configure` took."""


class HeaderConverter(ABC):
    """Converts the values of headers (upstream: ``HeaderConverter``).

    Attributes:
        takes_anything: as in :class:`Converter`, of :meth:`to_connect_header`.
    """

    takes_anything: ClassVar[bool] = False

    def config(self) -> ConfigKeys:
        """The keys this converter knows, without the ``header.converter.`` prefix."""
        return NO_KEYS

    def configure(self, config: Mapping[str, str]) -> None:
        """Take the configuration, prefix cut off. Raise ConfigError when it cannot work."""

    @abstractmethod
    def from_connect_header(
        self, topic: str, key: str, schema: Schema | None, value: Any
    ) -> bytes | None:
        """A header's value as bytes."""

    @abstractmethod
    def to_connect_header(self, topic: str, key: str, value: bytes | None) -> SchemaAndValue:
        """A header's bytes as a value."""

    def close(self) -> None:
        """Give back what :meth:`configure` took."""
