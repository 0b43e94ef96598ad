"""Whether the plugins that a connector's configuration names exist and can be configured so."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from engine.api.config import ConfigKey, ConfigKeys, parse_keys
from engine.api.errors import ConfigError
from engine.plugins.built_in import Kind
from engine.plugins.configured import class_problem, with_prefix
from engine.plugins.registry import Plugins, make

_OF_STEPS: Final = {
    "transforms": frozenset(("type", "predicate", "negate", "plugin.version")),
    "predicates": frozenset(("type", "plugin.version")),
}
_STEPS: Final[Mapping[str, Kind]] = {"transforms": "transformation", "predicates": "predicate"}
_CONVERTERS: Final[Mapping[str, Kind]] = {
    "key.converter": "converter",
    "value.converter": "converter",
    "header.converter": "header_converter",
}


class PluginUse(NamedTuple):
    """A plugin that a configuration names.

    Attributes:
        key: the key that names it.
        prefix: of its own keys.
        own: those of its entries that are its own, prefix cut off.
    """

    kind: Kind
    key: str
    name: str
    prefix: str
    own: Mapping[str, str]


def plugins_used(config: Mapping[str, str]) -> Sequence[PluginUse]:
    """The converters, transformations and predicates that a connector's configuration names."""
    used = [
        PluginUse(kind, key, config[key], f"{key}.", _own(config, f"{key}.", {"plugin.version"}))
        for key, kind in _CONVERTERS.items()
        if key in config
    ]
    for group, kind in _STEPS.items():
        listed = [alias.strip() for alias in config.get(group, "").split(",")]
        for alias in dict.fromkeys(filter(None, listed)):
            prefix = f"{group}.{alias}."
            if f"{prefix}type" in config:
                own = _own(config, prefix, _OF_STEPS[group])
                used.append(PluginUse(kind, f"{prefix}type", config[f"{prefix}type"], prefix, own))
    return used


def _own(
    config: Mapping[str, str], prefix: str, others: "set[str] | frozenset[str]"
) -> Mapping[str, str]:
    return {k: v for k, v in with_prefix(config, prefix).items() if k not in others}


def keys_of_plugin(plugins: Plugins, use: PluginUse) -> Sequence[ConfigKey]:
    """The plugin's keys, as a connector's configuration has to name them; none if it is unknown."""
    try:
        keys: ConfigKeys = make(plugins, use.kind, use.name).config()
    except ConfigError:
        return ()
    return keys


def plugin_problems(plugins: Plugins, config: Mapping[str, str]) -> dict[str, list[str]]:
    """What is wrong with the plugins that a connector's configuration names, by key."""
    problems: dict[str, list[str]] = {}
    for use in plugins_used(config):
        for key, messages in _problems(plugins, use).items():
            problems.setdefault(key, []).extend(messages)
    return problems


def _problems(plugins: Plugins, use: PluginUse) -> dict[str, list[str]]:
    try:
        plugin = make(plugins, use.kind, use.name)
    except ConfigError as error:
        return {use.key: [class_problem(use.key, use.name, error)]}
    _, found = parse_keys(plugin.config(), use.own)
    if found:
        return {f"{use.prefix}{k}": [_prefixed(m, k, use) for m in ms] for k, ms in found.items()}
    return _configuring_problems(plugin, use)


def _prefixed(message: str, key: str, use: PluginUse) -> str:
    """Kafka names a missing key in full and a wrong one without its prefix."""
    return message.replace(f'configuration "{key}"', f'configuration "{use.prefix}{key}"')


def _configuring_problems(plugin: Any, use: PluginUse) -> dict[str, list[str]]:
    try:
        if use.kind == "converter":
            plugin.configure(use.own, is_key=use.key == "key.converter")
        else:
            plugin.configure(use.own)
    except ConfigError as error:
        return {f"{use.prefix}{k}" if k else use.key: [m] for k, m in error.problems.items()}
    except Exception as error:  # noqa: BLE001 (somebody else's code)
        return {use.key: [f"{type(error).__name__}: {error}"]}
    plugin.close()
    return {}
