"""Worker and connector files, from their text to keys and values. No I/O in here.

``.properties`` as in Java, TOML whose tables flatten to dotted keys, and for connectors JSON.
"""

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import tomli

from engine.model.properties import ConfigFileError, parse_properties
from engine.model.state import INITIAL_STATES, TargetState

_AT_LINE: Final = re.compile(r" \(at line (\d+), column (\d+)\)| \(at end of document\)")


class ConnectorConfigFile(NamedTuple):
    """A connector as its file describes it; ``initial_state`` is None when it says nothing."""

    name: str
    config: dict[str, str]
    initial_state: TargetState | None = None


def parse_worker_file(text: str, source: str) -> dict[str, str]:
    """The worker's keys and values; TOML when the name ends so, else properties.

    Raises:
        ConfigFileError: the text cannot be understood.
    """
    if source.endswith(".toml"):
        return dict(_flatten(_toml(text, source), source))
    return parse_properties(text, source)


def parse_connector_file(text: str, source: str) -> ConnectorConfigFile:
    """The connector that the file describes.

    JSON is a flat map or ``{"name", "config", "initial_state"}``; TOML is flat, or has a table
    ``[config]`` beside ``name``, or one table that is called like the connector.

    Raises:
        ConfigFileError: the text cannot be understood, or names no connector.
    """
    if source.endswith(".toml"):
        return _from_document(_unwrapped(_toml(text, source)), source)
    if source.endswith(".json") or text.lstrip("\ufeff \t\r\n").startswith("{"):
        return _from_document(_json(text, source), source)
    config = parse_properties(text, source)
    return ConnectorConfigFile(_name(config.get("name"), source), config)


def _json(text: str, source: str) -> dict[str, Any]:
    try:
        document = json.loads(text.removeprefix("\ufeff"), parse_int=str, parse_float=str)
    except json.JSONDecodeError as error:
        raise ConfigFileError(f"{source}:{error.lineno}: {error.msg}") from None
    if not isinstance(document, dict):
        raise ConfigFileError(f"{source}:1: Expected a JSON object")
    return document


def _toml(text: str, source: str) -> dict[str, Any]:
    try:
        return tomli.loads(text.removeprefix("\ufeff"))
    except tomli.TOMLDecodeError as error:
        message = str(error)
        place = _AT_LINE.search(message)
        line = place[1] if place and place[1] else str(text.count("\n") + 1)
        said = _AT_LINE.sub("", message)
        hint = _DOTTED_HINT if "Cannot" in said else ""
        raise ConfigFileError(f"{source}:{line}: {said}{hint}") from None


_DOTTED_HINT: Final = (
    "; where one key continues another, write the longer one in quotes: "
    '"value.converter.schemas.enable" = false'
)


def _unwrapped(document: dict[str, Any]) -> dict[str, Any]:
    """The contents of a lone table, which is called like its connector."""
    if len(document) == 1:
        ((name, table),) = document.items()
        if isinstance(table, dict) and name != "config":
            return {"name": name, **table}
    return document


def _from_document(document: dict[str, Any], source: str) -> ConnectorConfigFile:
    inner = document.get("config")
    if not isinstance(inner, dict):
        config = dict(_flatten(document, source))
        return ConnectorConfigFile(_name(config.get("name"), source), config)
    config = dict(_flatten(inner, source))
    name = _name(document.get("name") or config.get("name"), source)
    if config.setdefault("name", name) != name:
        raise ConfigFileError(
            f"{source}:1: The name in the configuration, {config['name']}, is not {name}"
        )
    return ConnectorConfigFile(name, config, _initial_state(document.get("initial_state"), source))


def _name(name: Any, source: str) -> str:
    if not isinstance(name, str) or not name.strip():
        raise ConfigFileError(f"{source}:1: The connector has no name: set the key name")
    return name.strip()


def _initial_state(text: Any, source: str) -> TargetState | None:
    if text is None:
        return None
    state = INITIAL_STATES.get(str(text).upper())
    if state is None:
        known = ", ".join(INITIAL_STATES)
        raise ConfigFileError(f"{source}:1: initial_state {text} is none of {known}")
    return state


def _flatten(table: Mapping[str, Any], source: str, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _flatten(value, source, f"{key}.")
        elif value is not None:
            yield key, _text(value, key, source)


def _text(value: Any, key: str, source: str) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case dt.date() | dt.time():
            return value.isoformat()
        case list() if not any(isinstance(item, (dict, list)) for item in value):
            return ",".join(_text(item, key, source) for item in value)
    raise ConfigFileError(f"{source}:1: {key} cannot be written as a configuration value")
