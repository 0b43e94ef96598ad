"""Lets a converter of keys and values convert headers too, as in Kafka Connect every one does."""

from collections.abc import Mapping
from typing import ClassVar

from engine.api.config import ConfigKeys
from engine.api.converter import Converter, HeaderConverter
from engine.api.record import SchemaAndValue
from engine.api.schema import Schema


class HeaderConverterOf(HeaderConverter):
    """A header converter that asks a converter; subclasses name its class."""

    converter_class: ClassVar[type[Converter]]

    def __init__(self) -> None:
        self._converter = self.converter_class()

    def config(self) -> ConfigKeys:
        """The converter's keys."""
        return self._converter.config()

    def configure(self, config: Mapping[str, str]) -> None:
        """Configure the converter."""
        self._converter.configure(config, is_key=False)

    def from_connect_header(
        self,
        topic: str,
        key: str,  # noqa: ARG002 (the interface's)
        schema: Schema | None,
        value: object,
    ) -> bytes | None:
        """The value as the converter writes it."""
        return self._converter.from_connect_data(topic, schema, value)

    def to_connect_header(
        self,
        topic: str,
        key: str,  # noqa: ARG002 (the interface's)
        value: bytes | None,
    ) -> SchemaAndValue:
        """The value as the converter reads it."""
        return self._converter.to_connect_data(topic, value)

    def close(self) -> None:
        """Close the converter."""
        self._converter.close()
