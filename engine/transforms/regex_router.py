"""Sends records to another topic by a regular expression (upstream: ``RegexRouter``)."""

from collections.abc import Mapping
from dataclasses import replace

from engine.api.config import HIGH, ConfigKeys, config, key, keys_of, parse
from engine.api.errors import DataError
from engine.api.transformation import Record, Transformation
from engine.transforms.java_regex import java_regex, replaced, valid_regex


@config
class RegexRouterConfig:
    """What the transformation must be told."""

    regex: str = key(
        "regex",
        doc="Matched against the whole name of the topic.",
        importance=HIGH,
        check=valid_regex,
    )
    replacement: str = key(
        "replacement", doc="The new name; $1 stands for the first group.", importance=HIGH
    )  # fmt: skip


class RegexRouter(Transformation):
    """Renames the topic of records whose topic matches."""

    def config(self) -> ConfigKeys:
        """``regex`` and ``replacement``."""
        return keys_of(RegexRouterConfig)

    def configure(self, config: Mapping[str, str]) -> None:
        """Take the configuration."""
        parsed = parse(RegexRouterConfig, config)
        self._regex = java_regex(parsed.regex)
        self._replacement = parsed.replacement

    def apply(self, record: Record) -> Record | None:
        """The record with its new topic, or as it is."""
        match = self._regex.fullmatch(record.topic)
        if match is None:
            return record
        try:
            return replace(record, topic=replaced(match, self._replacement))
        except IndexError as error:
            raise DataError(f"No such group in replacement {self._replacement}") from error
