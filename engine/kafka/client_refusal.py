"""What the client library refuses of a configuration, in the words of the one who wrote it."""

import re
from collections.abc import Mapping
from typing import Final

from confluent_kafka import Consumer, KafkaException, Producer

from engine.api.config import nearest
from engine.api.errors import ConfigError
from engine.kafka.client_config import ClientConfig, client_keys, producer_config, shown
from engine.kafka.client_keys import CHOICES, CODE_ONLY, OLD_NAMES, PROPERTIES, RENAMED

Client = type[Producer] | type[Consumer]

REFUSALS: Final = (KafkaException, TypeError, AttributeError, ValueError)
"""What a client's constructor raises; all but the first for its properties of Python objects."""

_NOBODYS: Final = "engine.no.such.property"
_NAMED: Final = re.compile(r'["`]([^"`]+)["`]')
_OUTSIDE: Final = re.compile(r"outside allowed range (-?\d+)\.\.(-?\d+)")
_UNKNOWN: Final = re.compile("No such configuration property|must be set through|callable")
_INVALID: Final = "Invalid value"


def client_problems(
    worker: Mapping[str, str], connector: Mapping[str, str], kind: str
) -> dict[str, str]:
    """All that is wrong with the keys of one of a connector's clients, by key. Makes no client.

    Args:
        worker: the worker's configuration.
        connector: the connector's.
        kind: ``producer``, ``consumer`` or ``admin``.
    """
    keys = client_keys(kind, worker, connector)
    problems = {**refused(keys, Consumer if kind == "consumer" else Producer), **keys.problems}
    if kind == "producer" and not problems:
        try:
            producer_config(worker, connector, "")
        except ConfigError as error:
            return dict(error.problems)
    return problems


def refused(config: ClientConfig, client: Client) -> dict[str, str]:
    """Properties that somebody has set and that the library does not take, by key, with the reason.

    Each is tried alone, before one that nobody knows, and so no client comes of it.
    """
    problems: dict[str, str] = {}
    for name, key in config.origins.items():
        value = config.properties.get(name)
        try:
            if value is not None:
                client({"group.id": "_", name: value, _NOBODYS: ""})
        except REFUSALS as error:
            if _NOBODYS not in _text(error):
                problems[key] = _problem(error, name, config)
    return problems


def refusal(error: Exception, config: ClientConfig, client: Client) -> ConfigError:
    """What the refusal of a whole configuration means: every bad key, or what does not fit."""
    problems = refused(config, client)
    if problems:
        return ConfigError(problems)
    text = _text(error).removeprefix(f"Failed to create {client.__name__.lower()}: ")
    named = [OLD_NAMES.get(name, name) for name in _NAMED.findall(text)]
    written = [name for name in named if name in config.origins]
    return ConfigError(
        {config.origins[name]: _invalid(name, config, text) for name in written} or {"": text}
    )


def _problem(error: Exception, name: str, config: ClientConfig) -> str:
    text = _text(error)
    if outside := _OUTSIDE.search(text):
        return _invalid(name, config, f"expected {outside[1]} to {outside[2]}")
    if isinstance(error, KafkaException) and not _UNKNOWN.search(text):
        said = "" if text.startswith(_INVALID) else text
        return _invalid(name, config, CHOICES.get(name, said))
    key = config.origins[name]
    guess = nearest(name, (*PROPERTIES, *RENAMED, *CODE_ONLY))
    hint = f", did you mean {key.removesuffix(name)}{guess}?" if guess else ""
    return f"Unknown configuration {key}{hint}"


def _invalid(name: str, config: ClientConfig, reason: str) -> str:
    key = config.origins[name]
    said = f"Invalid value {shown(name, config.written[key])} for configuration {key}"
    return f"{said}: {reason}" if reason else said


def _text(error: Exception) -> str:
    if isinstance(error, KafkaException):
        text: str = error.args[0].str()
        return text.strip()
    return str(error)
