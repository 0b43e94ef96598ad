"""Plugins made and configured from a connector's and its worker's configuration."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from engine.api.converter import Converter, HeaderConverter
from engine.api.errors import ConfigError
from engine.api.transformation import Predicate, Transformation
from engine.plugins.built_in import Kind
from engine.plugins.registry import Plugins, make

DEFAULT_HEADER_CONVERTER = "org.apache.kafka.connect.storage.SimpleHeaderConverter"


def with_prefix(config: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The entries below a prefix, which is cut off."""
    return {k.removeprefix(prefix): v for k, v in config.items() if k.startswith(prefix)}


def make_converter(
    plugins: Plugins,
    config: Mapping[str, str],
    worker: Mapping[str, str],
    side: Literal["key", "value"],
) -> Converter:
    """The converter of one side, as the connector says or else the worker.

    A connector that names a class gets none of the worker's settings for it, and one that names
    none gets all of the worker's and none of its own (as in Kafka Connect).

    Raises:
        ConfigError: keys are those of the configuration that was at fault.
    """
    key = f"{side}.converter"
    source = config if config.get(key) else worker
    name = source.get(key)
    if not name:
        raise ConfigError(
            {key: f'Missing required configuration "{key}" which has no default value.'}
        )
    converter: Converter = _made(plugins, "converter", name, key)
    settings = _settings(source, f"{key}.")
    _configure(lambda: converter.configure(settings, is_key=side == "key"), f"{key}.")
    return converter


def make_header_converter(
    plugins: Plugins, config: Mapping[str, str], worker: Mapping[str, str]
) -> HeaderConverter:
    """The converter of headers, by the same rules; SimpleHeaderConverter when nobody names one."""
    key = "header.converter"
    source = config if config.get(key) else worker
    name = source.get(key) or DEFAULT_HEADER_CONVERTER
    converter: HeaderConverter = _made(plugins, "header_converter", name, key)
    settings = _settings(source, f"{key}.")
    _configure(lambda: converter.configure(settings), f"{key}.")
    return converter


def make_transformation(plugins: Plugins, config: Mapping[str, str], alias: str) -> Transformation:
    """The transformation that ``transforms.<alias>.type`` names."""
    prefix = f"transforms.{alias}."
    settings = _settings(config, prefix)
    name = _required(settings, prefix)
    made: Transformation = _made(plugins, "transformation", name, f"{prefix}type")
    settings = {k: v for k, v in settings.items() if k not in ("type", "predicate", "negate")}
    _configure(lambda: made.configure(settings), prefix)
    return made


def make_predicate(plugins: Plugins, config: Mapping[str, str], alias: str) -> Predicate:
    """The predicate that ``predicates.<alias>.type`` names."""
    prefix = f"predicates.{alias}."
    settings = _settings(config, prefix)
    name = _required(settings, prefix)
    made: Predicate = _made(plugins, "predicate", name, f"{prefix}type")
    settings = {k: v for k, v in settings.items() if k != "type"}
    _configure(lambda: made.configure(settings), prefix)
    return made


def _required(settings: Mapping[str, str], prefix: str) -> str:
    name = settings.get("type")
    if not name:
        raise ConfigError(
            {f"{prefix}type": f'Missing required configuration "{prefix}type" '
             "which has no default value."}
        )  # fmt: skip
    return name


def _settings(config: Mapping[str, str], prefix: str) -> dict[str, str]:
    settings = with_prefix(config, prefix)
    settings.pop("plugin.version", None)
    return settings


def _made(plugins: Plugins, kind: Kind, name: str, key: str) -> Any:
    try:
        return make(plugins, kind, name)
    except ConfigError as error:
        raise ConfigError({key: class_problem(key, name, error)}) from error


def class_problem(key: str, name: str, error: ConfigError) -> str:
    """The message for a class that cannot be used, in Kafka's words."""
    message = str(error)
    if "does not implement" in message:
        return message
    return f"Invalid value {name} for configuration {key}: {message}"


def _configure(configure: Callable[[], None], prefix: str) -> None:
    try:
        configure()
    except ConfigError as error:
        raise ConfigError({f"{prefix}{k}": v for k, v in error.problems.items()}) from error
