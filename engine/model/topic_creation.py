"""Which settings a source connector's new topics get (``topic.creation.*``, KIP-158)."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from engine.api.errors import ConfigError

_PREFIX: Final = "topic.creation."
_DEFAULT: Final = "default"
_ANY: Final = re.compile(".*", re.DOTALL)
_NOT_CONFIG: Final = ("include", "exclude", "replication.factor", "partitions")


class TopicSettings(msgspec.Struct, frozen=True):
    """How a topic is to be made; -1 leaves a number to the broker."""

    name: str
    partitions: int = -1
    replication_factor: int = -1
    config: Mapping[str, str] = msgspec.field(default_factory=dict)


class TopicCreationGroup(msgspec.Struct, frozen=True):
    """A named group of topics and their settings."""

    name: str
    include: Sequence["re.Pattern[str]"]
    exclude: Sequence["re.Pattern[str]"]
    partitions: int
    replication_factor: int
    config: Mapping[str, str]

    def matches(self, topic: str) -> bool:
        """Whether the whole name matches what is included and nothing that is excluded."""
        return any(p.fullmatch(topic) for p in self.include) and not any(
            p.fullmatch(topic) for p in self.exclude
        )


class TopicCreation(msgspec.Struct, frozen=True):
    """The groups of a connector, in the order in which they are tried; the default is the last."""

    groups: Sequence[TopicCreationGroup]

    def settings(self, topic: str) -> TopicSettings:
        """How this topic is to be made."""
        group = next(g for g in self.groups if g.matches(topic))
        return TopicSettings(topic, group.partitions, group.replication_factor, group.config)

    def batch_limit(self) -> int | None:
        """The largest batch in bytes that every topic made by these rules takes, if one says."""
        limits = [g.config["max.message.bytes"] for g in self.groups if _limits(g)]
        return min(map(int, limits), default=None)


def topic_creation(config: Mapping[str, str]) -> TopicCreation | None:
    """The rules of a connector; None when it has none, so that the broker makes topics.

    Raises:
        ConfigError: with every problem.
    """
    keys = {k.removeprefix(_PREFIX): v.strip() for k, v in config.items() if k.startswith(_PREFIX)}
    if not keys:
        return None
    problems: dict[str, str] = {}
    names = [name for name in _list(keys.pop("groups", "")) if name != _DEFAULT]
    partitions = _number(keys, _DEFAULT, "partitions", None, problems)
    replicas = _number(keys, _DEFAULT, "replication.factor", None, problems)
    groups = [_group(keys, name, (partitions, replicas), problems) for name in names]
    default = _settings_below(keys, _DEFAULT)
    groups.append(TopicCreationGroup(_DEFAULT, (_ANY,), (), partitions, replicas, default))
    if problems:
        raise ConfigError(problems)
    return TopicCreation(groups)


def _group(
    keys: Mapping[str, str], name: str, defaults: tuple[int, int], problems: dict[str, str]
) -> TopicCreationGroup:
    include = _patterns(keys, name, "include", problems)
    if not include:
        key = f"{_PREFIX}{name}.include"
        problems.setdefault(
            key, f'Missing required configuration "{key}" which has no default value.'
        )
    return TopicCreationGroup(
        name,
        include,
        _patterns(keys, name, "exclude", problems),
        _number(keys, name, "partitions", defaults[0], problems),
        _number(keys, name, "replication.factor", defaults[1], problems),
        _settings_below(keys, name),
    )


def _settings_below(keys: Mapping[str, str], name: str) -> dict[str, str]:
    below = {k.removeprefix(f"{name}."): v for k, v in keys.items() if k.startswith(f"{name}.")}
    return {k: v for k, v in below.items() if k not in _NOT_CONFIG}


def _patterns(
    keys: Mapping[str, str], name: str, what: str, problems: dict[str, str]
) -> "list[re.Pattern[str]]":
    found = []
    for text in _list(keys.get(f"{name}.{what}", "")):
        try:
            found.append(re.compile(text))
        except re.error as error:
            key = f"{_PREFIX}{name}.{what}"
            problems[key] = f"Invalid value {text} for configuration {key}: {error}"
    return found


def _number(
    keys: Mapping[str, str], name: str, what: str, default: int | None, problems: dict[str, str]
) -> int:
    key = f"{_PREFIX}{name}.{what}"
    text = keys.get(f"{name}.{what}")
    if text is None:
        if default is None:
            problems[key] = f'Missing required configuration "{key}" which has no default value.'
        return -1 if default is None else default
    try:
        number = int(text)
    except ValueError:
        problems[key] = f"Invalid value {text} for configuration {key}: Not a number of type INT"
        return -1
    if number != -1 and number < 1:
        problems[key] = (
            f"Invalid value {text} for configuration {key}: "
            "Value must be positive, or -1 to use the broker's default"
        )
    return number


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _limits(group: TopicCreationGroup) -> bool:
    return group.config.get("max.message.bytes", "").isdigit()
