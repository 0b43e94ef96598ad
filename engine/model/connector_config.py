"""What every connector can be told, whatever its class (upstream: ``ConnectorConfig``).

Names, types, defaults, groups and orders are Kafka's; a test compares them with the real thing.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from engine.api.config import (
    HIGH,
    LOW,
    REQUIRED,
    Check,
    ConfigKey,
    ConfigKeys,
    ConfigType,
    Importance,
    at_least,
    keys_of,
    non_empty,
    one_of,
    parse_keys,
)  # fmt: skip
from engine.model.error_policy import ErrorPolicy, kafka_error_keys
from engine.model.ignored_key import ignored_connector_keys, ignored_warnings
from engine.model.log_config import LogLevelConfig
from engine.model.supervision_config import SupervisionConfig
from engine.model.worker_config import unknown_keys

ConnectorKind = Literal["source", "sink"]
Problems = dict[str, list[str]]

_OURS: Final = (SupervisionConfig, ErrorPolicy, LogLevelConfig)
_COMMON: Final = "Common"
_EXACTLY_ONCE: Final = "Exactly Once Support"


def _name(value: Any) -> str | None:
    if not value:
        return "String may not be empty"
    controls = [str(ord(c)) for c in value if ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F]
    if controls:
        codes = ", ".join(controls)
        return (
            f"String may not contain control sequences but had the following ASCII chars: {codes}"
        )
    return None


def regular_expression(value: Any) -> str | None:
    """A check for texts that are a regular expression."""
    try:
        re.compile(value or "")
    except re.error as error:
        return f"Invalid regex: {error}"
    return None


def _aliases(value: Any) -> str | None:
    return "Duplicate alias provided." if len(set(value)) < len(value) else None


class _Group:
    """Adds keys of one group to a list, in order."""

    def __init__(self, name: str, order: int = 1) -> None:
        self._name = name
        self._order = order

    def key(
        self,
        name: str,
        kind: ConfigType,
        default: Any,
        importance: Importance,
        shown: tuple[str, str, str],
        check: Check | None = None,
    ) -> ConfigKey:
        """The next key; ``shown`` is width, display name and what it is for."""
        width, display_name, doc = shown
        made = ConfigKey(
            name, kind, default, doc, importance, check, self._name, self._order, width,
            display_name,
        )  # fmt: skip
        self._order += 1
        return made


_T = ConfigType
_M = Importance.MEDIUM


def _common_keys(version: str | None) -> ConfigKeys:
    common = _Group(_COMMON)
    head = [
        common.key("name", _T.STRING, REQUIRED, HIGH, ("MEDIUM", "Connector name",
            "The connector's name, unique in its cluster."), _name),
        common.key("connector.class", _T.STRING, REQUIRED, HIGH, ("LONG", "Connector class",
            "The connector's class: its full name or a short alias of it.")),
        common.key("connector.plugin.version", _T.STRING, version, _M, ("MEDIUM",
            "Connector version", "Which version of the connector to run.")),
        common.key("tasks.max", _T.INT, 1, HIGH, ("SHORT", "Tasks max",
            "The most tasks that the connector may have."), at_least(1)),
        common.key("tasks.max.enforce", _T.BOOLEAN, True, LOW, ("SHORT", "Enforce tasks max",
            "Whether a connector that makes more tasks than tasks.max fails.")),
    ]  # fmt: skip
    for side in ("key", "value", "header"):
        head += [
            common.key(f"{side}.converter", _T.CLASS, None, LOW, ("SHORT",
                f"{side.title()} converter class",
                f"Converts {side}s between Connect's data and Kafka's bytes; the worker's if unset."
            )),
            common.key(f"{side}.converter.plugin.version", _T.STRING, None, LOW, ("SHORT",
                f"{side.title()} converter version", "Which version of the converter to use.")),
        ]  # fmt: skip
    transforms = _Group("Transforms", 12)
    predicates = _Group("Predicates", 13)
    tail = _Group(_COMMON, 14)
    head += [
        transforms.key("transforms", _T.LIST, (), LOW, ("LONG", "Transforms",
            "Aliases of the transformations that records go through, in order."), _aliases),
        predicates.key("predicates", _T.LIST, (), LOW, ("LONG", "Predicates",
            "Aliases of the predicates that transformations refer to."), _aliases),
        tail.key("config.action.reload", _T.STRING, "restart", LOW, ("MEDIUM", "Reload Action",
            "What to do when a config provider's value has changed."), one_of("none", "restart")),
    ]  # fmt: skip
    return tuple(head)


def _source_keys() -> ConfigKeys:
    once = _Group(_EXACTLY_ONCE, 2)
    return (
        _Group("Topic Creation").key("topic.creation.groups", _T.LIST, (), LOW, ("LONG",
            "Topic Creation Groups", "Groups of rules for topics that are created."), _aliases),
        once.key("exactly.once.support", _T.STRING, "requested", _M, ("SHORT",
            "Exactly once support",
            "required: refuse a connector that cannot deliver exactly once; requested: do not."),
            one_of("REQUIRED", "REQUESTED", ignore_case=True)),
        once.key("transaction.boundary", _T.STRING, "poll", _M, ("SHORT", "Transaction Boundary",
            "Where a source's transactions end: at every poll, by time, or where it says."),
            one_of("INTERVAL", "POLL", "CONNECTOR", ignore_case=True)),
        once.key("transaction.boundary.interval.ms", _T.LONG, None, LOW, ("SHORT",
            "Transaction boundary interval", "How often transactions end, when by time.")),
        _Group("offsets.topic").key("offsets.storage.topic", _T.STRING, None, LOW, ("LONG",
            "Offsets topic", "A topic of the connector's own for its source offsets."), non_empty),
    )  # fmt: skip


def _sink_keys() -> ConfigKeys:
    return (
        _Group(_COMMON, 4).key("topics", _T.LIST, (), HIGH, ("LONG", "Topics",
            "The topics to read.")),
        _Group(_COMMON, 4).key("topics.regex", _T.STRING, "", HIGH, ("LONG", "Topics regex",
            "A regular expression of the topics to read."), regular_expression),
        *kafka_error_keys(queue=True),
    )  # fmt: skip


def common_keys(kind: ConnectorKind, version: str | None = None) -> ConfigKeys:
    """The keys that every source or sink knows, in Kafka's order.

    Args:
        kind: ``source`` or ``sink``.
        version: of the connector's plugin; the default of ``connector.plugin.version``.
    """
    last = _source_keys() if kind == "source" else _sink_keys()
    return (*_common_keys(version), *kafka_error_keys(queue=False), *last)


OVERRIDES: Final[Mapping[ConnectorKind, tuple[str, ...]]] = {
    "source": ("producer.override.", "admin.override."),
    "sink": ("consumer.override.", "producer.override.", "admin.override."),
}
"""Beginnings of keys that a connector's Kafka clients are told, if the worker's policy allows."""

_STEPS: Final = ("transforms", "predicates")
_STEP_WORDS: Final = ("type", "predicate", "negate")
_GROUPS: Final = "topic.creation.groups"


def connector_warnings(
    config: Mapping[str, str],
    kind: ConnectorKind,
    known: Iterable[str],
    opaque: Iterable[str] = (),
) -> list[str]:
    """A warning for every key that nobody knows, with the nearest known one, or that is ignored.

    Args:
        config: the connector's configuration.
        kind: ``source`` or ``sink``.
        known: the names of all keys that the connector and its other plugins declare.
        opaque: beginnings of keys of plugins that could not be asked.
    """
    ignored = ignored_connector_keys(config, kind)
    rest = {key: value for key, value in config.items() if key not in ignored}
    unlisted = _unlisted(rest)
    rest = {key: value for key, value in rest.items() if key not in unlisted}
    names = [*known, *(k.name for k in common_keys(kind)), *_step_keys(config)]
    names += [k.name for each in _OURS for k in keys_of(each)]
    prefixes = (*OVERRIDES[kind], *opaque, *(("topic.creation.",) if kind == "source" else ()))
    return [
        *unknown_keys(rest, names, prefixes),
        *unlisted.values(),
        *ignored_warnings(ignored),
    ]


def _step_keys(config: Mapping[str, str]) -> list[str]:
    """What every step may be told, whatever its class."""
    aliases = [f"{group}.{alias}" for group in _STEPS for alias in _listed(config, group)]
    return [f"{alias}.{word}" for alias in aliases for word in _STEP_WORDS]


def _unlisted(config: Mapping[str, str]) -> dict[str, str]:
    """A warning for every key of a step or of a group of topics that is not listed."""
    found: dict[str, str] = {}
    for names, prefix, always in (
        *((group, f"{group}.", ()) for group in _STEPS),
        (_GROUPS, "topic.creation.", (_GROUPS, "topic.creation.default.")),
    ):
        listed = (*always, *(f"{prefix}{alias}." for alias in _listed(config, names)))
        for key in config:
            if key.startswith(prefix) and not key.startswith(listed):
                alias = key.removeprefix(prefix).partition(".")[0]
                found[key] = f"unknown key {key}: {alias} is not in {names}"
    return found


def validate_common(config: Mapping[str, str | None], kind: ConnectorKind) -> Problems:
    """What is wrong with the keys that every connector has, by key; everything at once.

    Classes are not looked up here: only what can be said of the text alone.
    """
    given = {k: v for k, v in config.items() if v is not None}
    parsed, problems = parse_keys(common_keys(kind), given)
    _add_for_unparsed_number(problems)
    _add_for_lists(parsed, problems)
    _add_for_steps(given, problems)
    if kind == "sink":
        _add_for_topics(parsed, problems)
    return {key: messages for key, messages in problems.items() if messages}


def _add(problems: Problems, key: str, message: str) -> None:
    problems.setdefault(key, []).append(message)


def _add_for_unparsed_number(problems: Problems) -> None:
    """Kafka goes on to check the null that a number it could not parse has become."""
    if any("Not a number" in message for message in problems.get("tasks.max", ())):
        null = "Invalid value null for configuration tasks.max: Value must be non-null"
        _add(problems, "tasks.max", null)


def _add_for_lists(parsed: Mapping[str, Any], problems: Problems) -> None:
    topics: Sequence[str] = parsed.get("topics", ())
    if "" in topics:
        _add(problems, "topics", "Configuration 'topics' values must not be empty.")
    elif len(set(topics)) < len(topics):
        _add(problems, "topics", "Configuration 'topics' values must not be duplicated.")


def _add_for_steps(config: Mapping[str, str], problems: Problems) -> None:
    """Structure of ``transforms.`` and ``predicates.``."""
    for group in _STEPS:
        for alias in dict.fromkeys(_listed(config, group)):
            key = f"{group}.{alias}.type"
            if key not in config:
                missing = f'Missing required configuration "{key}" which has no default value.'
                _add(problems, key, missing)
    for alias in dict.fromkeys(_listed(config, "transforms")):
        _add_for_negation(config, f"transforms.{alias}", problems)


def _add_for_negation(config: Mapping[str, str], prefix: str, problems: Problems) -> None:
    negate, predicate = f"{prefix}.negate", f"{prefix}.predicate"
    if negate in config and predicate not in config:
        _add(problems, f"{prefix}.type",
             f"Config '{negate}' was provided but there is no config '{predicate}' defining a "
             "predicate to be negated.")  # fmt: skip
    if config.get(negate, "false").strip().lower() not in ("true", "false"):
        _add(problems, negate, f"Invalid value {config[negate]} for configuration {negate}: "
             "Expected value to be either true or false")  # fmt: skip
    known = _listed(config, "predicates")
    if predicate in config and config[predicate] not in known:
        shown = ", ".join(known) or "none"
        _add(problems, predicate, f"Invalid value {config[predicate]} for configuration "
             f"{predicate}: No such predicate; predicates are: {shown}")  # fmt: skip


def _add_for_topics(parsed: Mapping[str, Any], problems: Problems) -> None:
    topics: Sequence[str] = parsed.get("topics", ())
    regex: str = parsed.get("topics.regex", "")
    queue: str = parsed.get("errors.deadletterqueue.topic.name", "")
    if "topics.regex" in problems or "topics" in problems:
        return
    if bool(topics) == bool(regex):
        message = (
            "topics and topics.regex are mutually exclusive options, but both are set."
            if topics
            else "Must configure one of topics or topics.regex"
        )
        _add(problems, "topics", message)
        _add(problems, "topics.regex", message)
    elif queue and queue in topics:
        _add(problems, "topics",
             f"The DLQ topic '{queue}' may not be included in the list of topics "
             f"('topics=[{', '.join(topics)}]') consumed by the connector")  # fmt: skip
    elif queue and regex and re.fullmatch(regex, queue):
        _add(problems, "topics.regex",
             f"The DLQ topic '{queue}' may not be matched by the regex for the topics "
             f"('topics.regex={regex}') consumed by the connector")  # fmt: skip


def _listed(config: Mapping[str, str], key: str) -> list[str]:
    text = config.get(key, "").strip()
    return [part.strip() for part in text.split(",")] if text else []
