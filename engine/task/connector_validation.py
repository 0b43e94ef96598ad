"""Checks a connector's configuration as upstream does, in upstream's order, and finds everything.

Runs plugin code (``config``, ``validate``), so only ever in a plan child.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, get_args

import msgspec

from engine.api.config import ConfigKey, ConfigKeys, ConfigType, Importance, parse_keys
from engine.api.connector import Connector, SourceConnector
from engine.api.errors import ConfigError
from engine.kafka.client_config import check_overrides
from engine.kafka.client_refusal import client_problems
from engine.model.connector_config import (
    OVERRIDES,
    ConnectorKind,
    common_keys,
    connector_warnings,
    validate_common,
)  # fmt: skip
from engine.model.error_policy import error_policy
from engine.model.log_config import log_level
from engine.model.supervision_config import supervision
from engine.plugins.built_in import Kind
from engine.plugins.registry import Plugins, make

NULL_VALUE: Final = "Null value can not be supplied as the configuration value."

_CONVERTERS: Final[tuple[tuple[str, Kind], ...]] = (
    ("key.converter", "converter"),
    ("value.converter", "converter"),
    ("header.converter", "header_converter"),
)
_STEPS: Final[tuple[tuple[str, Kind], ...]] = (
    ("transforms", "transformation"),
    ("predicates", "predicate"),
)


class Checked(msgspec.Struct):
    """One key, what was given, and what is wrong with it."""

    key: ConfigKey
    value: str | None
    errors: list[str] = msgspec.field(default_factory=list)


class ConnectorValidation(msgspec.Struct):
    """Everything found about one configuration.

    Attributes:
        raw: as it was given; None for a null.
        resolved: the same with config providers' values, without nulls.
        warnings: keys that nobody knows, or that have no effect.
        opaque: beginnings of keys of plugins that could not be made.
    """

    plugins: Plugins
    worker: Mapping[str, str]
    raw: Mapping[str, str | None]
    resolved: Mapping[str, str]
    connector: Connector
    checked: dict[str, Checked] = msgspec.field(default_factory=dict)
    warnings: list[str] = msgspec.field(default_factory=list)
    opaque: list[str] = msgspec.field(default_factory=list)

    @property
    def kind(self) -> ConnectorKind:
        """``source`` or ``sink``."""
        return "source" if isinstance(self.connector, SourceConnector) else "sink"

    @property
    def has_errors(self) -> bool:
        """Whether the configuration cannot be used."""
        return any(each.errors for each in self.checked.values())

    @property
    def groups(self) -> list[str]:
        """Groups of the keys, in order of appearance."""
        found = (each.key.group for each in self.checked.values())
        return list(dict.fromkeys(group for group in found if group))

    def run(self) -> "ConnectorValidation":
        """Check everything; a plugin's own exception passes."""
        self._check_common()
        self._check_steps()
        self._check_connector()
        self._check_converters()
        self._check_policies()
        self._check_clients()
        self._check_nulls()
        self.warnings += connector_warnings(
            self.resolved, self.kind, tuple(self.checked), self.opaque
        )
        return self

    # ---- the checks, in order -----------------------------------------------------------------

    def _check_common(self) -> None:
        self._add_keys(common_keys(self.kind, self.plugins.version(type(self.connector))))
        self._add_problems(validate_common(self.resolved, self.kind))

    def _check_steps(self) -> None:
        for group, kind in _STEPS:
            for alias in dict.fromkeys(_listed(self.resolved.get(group))):
                self._check_step(f"{group}.{alias}.", kind, f"{group.title()}: {alias}")

    def _check_step(self, prefix: str, kind: Kind, group: str) -> None:
        key = f"{prefix}type"
        self._add_key(_class_key(key, group))
        name = self.resolved.get(key)
        if name is not None:
            self._check_plugin(kind, name, key, prefix, group)

    def _check_connector(self) -> None:
        keys = self.connector.config()
        own = [key for key in keys if key.name not in self.checked]
        self._add_keys(own)
        problems = parse_keys(keys, self.resolved)[1]
        self._add_problems(problems)
        if not problems:
            found = self.connector.validate(self.resolved)
            self._add_problems({key: list(texts) for key, texts in found.items()})

    def _check_converters(self) -> None:
        for key, kind in _CONVERTERS:
            name = self.resolved.get(key)
            if name:
                self._check_plugin(kind, name, key, f"{key}.", None)
            else:
                self._check_inherited(key, kind)

    def _check_inherited(self, key: str, kind: Kind) -> None:
        """The worker's converter, which it cannot check: its plugins are imported here only."""
        name = self.worker.get(key, "")
        if not name or "${" in name:
            return
        try:
            self.plugins.find(kind, name)
        except ConfigError as error:
            said = f"Invalid value {name} for configuration {key} of the worker: {error}"
            self._add_problems({key: [said]})

    def _check_plugin(
        self, kind: Kind, name: str, key: str, prefix: str, group: str | None
    ) -> None:
        """Make a plugin, and check the keys it declares under its prefix."""
        try:
            plugin = make(self.plugins, kind, name)
        except ConfigError as error:
            self._add_problems({key: [f"Invalid value {name} for configuration {key}: {error}"]})
            self.opaque.append(prefix)
            return
        declared: ConfigKeys = plugin.config()
        keys = [replace(k, name=f"{prefix}{k.name}", group=k.group or group) for k in declared]
        self._add_keys(keys)
        self._add_problems(parse_keys(keys, self.resolved)[1])

    def _check_policies(self) -> None:
        for prefix in OVERRIDES[self.kind]:
            forbidden = check_overrides(self.worker, self.resolved, prefix)
            self._add_problems({key: [text] for key, text in forbidden.items()})
        for policy in (supervision, error_policy, log_level):
            try:
                policy(self.worker, self.resolved)
            except ConfigError as error:
                self._add_problems({key: [text] for key, text in error.problems.items()})

    def _check_clients(self) -> None:
        """Keys of the clients that a task of this connector makes, the worker's among them."""
        has_letters = bool(self.resolved.get("errors.deadletterqueue.topic.name"))
        clients = ["producer"] if self.kind == "source" or has_letters else []
        clients += ["consumer", "admin"] if self.kind == "sink" else ["admin"]
        for client in clients:
            problems = client_problems(self.worker, self.resolved, client)
            self._add_problems({key: [text] for key, text in problems.items()})

    def _check_nulls(self) -> None:
        for key in [key for key, value in self.raw.items() if value is None]:
            problems = [NULL_VALUE]
            if key == "tasks.max":
                problems.insert(
                    0, f"Invalid value null for configuration {key}: Value must be non-null"
                )
            self._add_problems({key: problems})

    # ---- bookkeeping --------------------------------------------------------------------------

    def _add_keys(self, keys: Iterable[ConfigKey]) -> None:
        for key in keys:
            self._add_key(key)

    def _add_key(self, key: ConfigKey) -> None:
        given = self.raw.get(key.name)
        value = key.default_text() if given is None else key.shown(given)
        self.checked.setdefault(key.name, Checked(key, value))

    def _add_problems(self, problems: Mapping[str, list[str]]) -> None:
        for name, texts in problems.items():
            if name not in self.checked:
                self._add_key(ConfigKey(name, ConfigType.STRING, None))
            self.checked[name].errors += [t for t in texts if t not in self.checked[name].errors]


def keys_of_plugin(plugins: Plugins, name: str) -> ConfigKeys | None:
    """The keys of a plugin of any kind, its own first; None when nobody knows the name."""
    for kind in get_args(Kind):
        try:
            plugin = make(plugins, kind, name)
        except ConfigError:
            continue
        own: ConfigKeys = plugin.config() if hasattr(plugin, "config") else ()
        if not isinstance(plugin, Connector):
            return own
        common = common_keys(
            "source" if isinstance(plugin, SourceConnector) else "sink",
            plugins.version(type(plugin)),
        )
        return (*own, *common)
    return None


def _class_key(name: str, group: str) -> ConfigKey:
    return ConfigKey(
        name,
        ConfigType.CLASS,
        doc="The class of this step.",
        importance=Importance.HIGH,
        group=group,
        order=1,
        width="LONG",
        display_name=name,
    )


def _listed(text: str | None) -> list[str]:
    return [part.strip() for part in text.split(",")] if text and text.strip() else []
