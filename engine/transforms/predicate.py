"""Predicates that choose which records a transformation sees."""

from collections.abc import Mapping

from engine.api.config import ConfigKeys, config, key, keys_of, non_empty, parse
from engine.api.record import SinkRecord, SourceRecord
from engine.api.transformation import Predicate
from engine.transforms.java_regex import java_regex, valid_regex


@config
class HasHeaderKeyConfig:
    """What HasHeaderKey must be told."""

    name: str = key("name", doc="The name of the header.", check=non_empty)


class HasHeaderKey(Predicate):
    """Whether the record has a header of a name (upstream: ``HasHeaderKey``)."""

    def config(self) -> ConfigKeys:
        """``name``."""
        return keys_of(HasHeaderKeyConfig)

    def configure(self, config: Mapping[str, str]) -> None:
        """Take the configuration."""
        self._name = parse(HasHeaderKeyConfig, config).name

    def test(self, record: SourceRecord | SinkRecord) -> bool:
        """Whether the header is there."""
        return any(name == self._name for name, _ in record.headers)


class RecordIsTombstone(Predicate):
    """Whether the record has no value (upstream: ``RecordIsTombstone``)."""

    def test(self, record: SourceRecord | SinkRecord) -> bool:
        """Whether the value is None."""
        return record.value is None


@config
class TopicNameMatchesConfig:
    """What TopicNameMatches must be told."""

    pattern: str = key(
        "pattern", doc="Matched against the whole name of the topic.", check=valid_regex
    )


class TopicNameMatches(Predicate):
    """Whether the topic's name matches an expression (upstream: ``TopicNameMatches``)."""

    def config(self) -> ConfigKeys:
        """``pattern``."""
        return keys_of(TopicNameMatchesConfig)

    def configure(self, config: Mapping[str, str]) -> None:
        """Take the configuration."""
        self._pattern = java_regex(parse(TopicNameMatchesConfig, config).pattern)

    def test(self, record: SourceRecord | SinkRecord) -> bool:
        """Whether it matches."""
        return self._pattern.fullmatch(record.topic) is not None
