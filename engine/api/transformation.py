"""Single message transforms and the predicates that choose which records they see."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TypeVar

from engine.api.config import NO_KEYS, ConfigKeys
from engine.api.record import SinkRecord, SourceRecord

Record = TypeVar("Record", SourceRecord, SinkRecord)


class Transformation(ABC):
    """Changes records one by one (upstream: ``Transformation``)."""

    def config(self) -> ConfigKeys:
        """The keys this transformation knows, without the ``transforms.<alias>.`` prefix."""
        return NO_KEYS

    def configure(self, config: Mapping[str, str]) -> None:
        """Take the configuration, prefix cut off. Raise ConfigError when it cannot work."""

    @abstractmethod
    def apply(self, record: Record) -> Record | None:
        """The record as it goes on, or None to drop it. Raise DataError for a bad record."""

    def close(self) -> None:
        """Give back what :meth:`configure` took."""


class Predicate(ABC):
    """Says of a record whether a transformation is to see it (upstream: ``Predicate``)."""

    def config(self) -> ConfigKeys:
        """The keys this predicate knows, without the ``predicates.<alias>.`` prefix."""
        return NO_KEYS

    def configure(self, config: Mapping[str, str]) -> None:
        """Take the configuration, prefix cut off. Raise ConfigError when it cannot work."""

    @abstractmethod
    def test(self, record: SourceRecord | SinkRecord) -> bool:
        """Whether the record matches."""

    def close(self) -> None:
        """Give back what :meth:`configure` took."""
