"""Adds and drops headers (upstream: ``InsertHeader``, ``DropHeaders``)."""

from collections.abc import Mapping
from dataclasses import replace

from engine.api.config import HIGH, ConfigKeys, config, key, keys_of, non_empty, parse
from engine.api.transformation import Record, Transformation
from engine.model.literal import parse_string


@config
class InsertHeaderConfig:
    """What InsertHeader must be told."""

    header: str = key("header", doc="The name of the header.", importance=HIGH, check=non_empty)
    literal: str = key(
        "value.literal", importance=HIGH,
        doc="The header's value: a number, a date, a list … when it looks like one, else text.",
    )  # fmt: skip


class InsertHeader(Transformation):
    """Adds a header with a fixed value to each record."""

    def config(self) -> ConfigKeys:
        """``header`` and ``value.literal``."""
        return keys_of(InsertHeaderConfig)

    def configure(self, config: Mapping[str, str]) -> None:
        """Take the configuration."""
        parsed = parse(InsertHeaderConfig, config)
        self._header = (parsed.header, parse_string(parsed.literal))

    def apply(self, record: Record) -> Record | None:
        """The record with one more header."""
        return replace(record, headers=(*record.headers, self._header))


@config
class DropHeadersConfig:
    """What DropHeaders must be told."""

    headers: tuple[str, ...] = key(
        "headers", doc="The names of the headers to drop.", importance=HIGH
    )


class DropHeaders(Transformation):
    """Removes headers by their names."""

    def config(self) -> ConfigKeys:
        """``headers``."""
        return keys_of(DropHeadersConfig)

    def configure(self, config: Mapping[str, str]) -> None:
        """Take the configuration."""
        self._names = frozenset(parse(DropHeadersConfig, config).headers)

    def apply(self, record: Record) -> Record | None:
        """The record without these headers."""
        kept = tuple(header for header in record.headers if header[0] not in self._names)
        return record if len(kept) == len(record.headers) else replace(record, headers=kept)
