"""Finds plugins by name. Only the plugin asked for is imported.

A plugin is an entry point in the group ``connect.<kind>s`` of any installed distribution. Its name
may be given as entry point name, as class name with or without its suffix, as dotted path of the
Python class, or as the Java class that it stands for.
"""

import sys
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from importlib import import_module
from typing import Any, Final, Literal, NamedTuple, cast, overload

import engine
from engine.api.config import nearest
from engine.api.config_provider import ConfigProvider
from engine.api.connector import Connector, SourceConnector
from engine.api.converter import Converter, HeaderConverter
from engine.api.errors import ConfigError
from engine.api.transformation import Predicate, Transformation
from engine.plugins.built_in import BUILT_IN, SUFFIXES, Kind

_BASES: Final[Mapping[Kind, type]] = {
    "connector": Connector,
    "converter": Converter,
    "header_converter": HeaderConverter,
    "transformation": Transformation,
    "predicate": Predicate,
    "config_provider": ConfigProvider,
}

_NOT_THERE: Final = (ImportError, AttributeError)


class Plugin(NamedTuple):
    """An installed plugin, not imported yet.

    Attributes:
        name: the entry point's name, its shortest alias but one.
        target: ``module:Class``.
        java_name: the Java class that it stands for, None for a plugin that has no such past.
    """

    kind: Kind
    name: str
    target: str
    distribution: str
    version: str
    java_name: str | None = None

    @property
    def class_name(self) -> str:
        """The name that the REST API lists."""
        return self.java_name or self.target.replace(":", ".")

    def names(self) -> set[str]:
        """What somebody may write who means this plugin."""
        simple = self.target.rpartition(":")[2]
        names = {self.name, simple, self.target, self.target.replace(":", ".")}
        if self.java_name:
            names |= {self.java_name, self.java_name.rpartition(".")[2]}
        suffix = SUFFIXES[self.kind]
        return names | {self.name.removesuffix(suffix), simple.removesuffix(suffix)}

    def load(self) -> type:
        """The class.

        Raises:
            ConfigError: it cannot be imported, or is no plugin of its kind.
        """
        module, _, name = self.target.partition(":")
        try:
            found = getattr(import_module(module), name)
        except Exception as error:
            kind = MissingPluginError if isinstance(error, _NOT_THERE) else ConfigError
            raise kind(
                f"Class {self.class_name} could not be loaded: {type(error).__name__}: {error}"
            ) from error
        return _checked(found, self.kind, self.class_name)


def _checked(found: Any, kind: Kind, name: str) -> type:
    base = _BASES[kind]
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigError(f"Class {name} does not implement the {base.__name__} interface")
    return found


class MissingPluginError(ConfigError):
    """A plugin, or something that it needs, is not installed."""


class Plugins:
    """What is installed. Cheap to make; looks around only when a built-in plugin will not do."""

    @overload
    def find(self, kind: Literal["connector"], name: str) -> type[Connector]: ...
    @overload
    def find(self, kind: Literal["converter"], name: str) -> type[Converter]: ...
    @overload
    def find(self, kind: Literal["header_converter"], name: str) -> type[HeaderConverter]: ...
    @overload
    def find(self, kind: Literal["transformation"], name: str) -> type[Transformation]: ...
    @overload
    def find(self, kind: Literal["predicate"], name: str) -> type[Predicate]: ...
    @overload
    def find(self, kind: Literal["config_provider"], name: str) -> type[ConfigProvider]: ...
    @overload
    def find(self, kind: Kind, name: str) -> type: ...
    def find(self, kind: Kind, name: str) -> type:
        """The plugin's class.

        Raises:
            ConfigError: nothing of that name is installed, or it cannot be loaded.
        """
        wanted = name.strip()
        built_in = _built_in_by_name(kind).get(wanted)
        if built_in is not None:
            return _loaded(built_in)
        if (preloaded := _preloaded(wanted)) is not None:
            return _checked(preloaded, kind, wanted)
        for plugin in self.installed(kind):
            if wanted in plugin.names():
                return plugin.load()
        found = _by_path(wanted)
        if found is None:
            raise MissingPluginError(self._unknown(kind, wanted))
        return _checked(found, kind, wanted)

    def installed(self, kind: Kind) -> Sequence[Plugin]:
        """Every plugin of a kind, by name; nothing is imported.

        Raises:
            ConfigError: two distributions offer one name.
        """
        by_name: dict[str, Plugin] = {}
        for plugin in (*_built_in(kind), *self._entry_points.get(kind, ())):
            other = by_name.setdefault(plugin.name, plugin)
            if other.distribution != plugin.distribution:
                raise ConfigError(
                    f"Two distributions offer the {kind.replace('_', ' ')} {plugin.name}: "
                    f"{other.distribution} {other.version} ({other.target}) and "
                    f"{plugin.distribution} {plugin.version} ({plugin.target}); remove one of them"
                )
        return [by_name[name] for name in sorted(by_name)]

    def check(self) -> None:
        """Raise ConfigError when two distributions offer one name."""
        for kind in _BASES:
            self.installed(kind)

    def java_name(self, cls: type) -> str:
        """The name under which the REST API lists a class: its Java name, or its dotted path."""
        target = f"{cls.__module__}.{cls.__qualname__}"
        for each in BUILT_IN:
            simple = each.target.rpartition(":")[2]
            package = each.target.partition(":")[0]
            if simple == cls.__qualname__ and f"{target}.".startswith(f"{package}."):
                return each.java_name
        return target

    def version(self, cls: type) -> str | None:
        """The version of a plugin: its own word, or its distribution's; None when unknown."""
        own = getattr(cls, "version", None)
        if isinstance(own, str):
            return own
        package = cls.__module__.partition(".")[0]
        if package in {"engine", "connectors"}:
            return engine.__version__
        for plugins in self._entry_points.values():
            for plugin in plugins:
                if plugin.target.partition(":")[0].partition(".")[0] == package:
                    return plugin.version
        return None

    @cached_property
    def _entry_points(self) -> Mapping[Kind, Sequence[Plugin]]:
        """What other distributions offer."""
        from importlib.metadata import entry_points  # noqa: PLC0415 (20 ms that few need)

        ours = {(each.kind, each.target) for each in BUILT_IN}
        found: dict[Kind, list[Plugin]] = {}
        for kind in _BASES:
            for point in entry_points(group=f"connect.{kind}s"):
                if (kind, point.value) in ours:
                    continue
                distribution = point.dist.name if point.dist else "unknown"
                version = point.dist.version if point.dist else "0"
                made = Plugin(kind, point.name, point.value, distribution, version)
                found.setdefault(kind, []).append(made)
        return found

    def _unknown(self, kind: Kind, name: str) -> str:
        installed = self.installed(kind)
        known = [n for p in installed for n in (p.name, p.class_name)]
        likely = nearest(name, known) or nearest(name.rpartition(".")[2], known)
        hint = f" Did you mean {likely}?" if likely else ""
        if kind == "connector":
            shown = ", ".join(_description(plugin) for plugin in installed)
            return (
                "Failed to find any class that implements Connector and which name matches "
                f"{name}, available connectors are: {shown}{'.' if hint else ''}{hint}"
            )
        names = ", ".join(plugin.name for plugin in installed)
        return f"Class {name} could not be found. Installed are: {names}.{hint}"


@cache
def _built_in(kind: Kind) -> Sequence[Plugin]:
    return tuple(
        Plugin(kind, each.name, each.target, "engine", engine.__version__, each.java_name)
        for each in BUILT_IN
        if each.kind == kind
    )


@cache
def _built_in_by_name(kind: Kind) -> Mapping[str, Plugin]:
    """The first of those that go by a name."""
    return {name: plugin for plugin in reversed(_built_in(kind)) for name in plugin.names()}


@cache
def _loaded(plugin: Plugin) -> type:
    return plugin.load()


def _preloaded(name: str) -> Any:
    """What a dotted path leads to whose module is there already, as ``engine.zygote.preload`` does.

    Looking around for it would take a task longer than all else of its start.
    """
    module, _, attribute = name.replace(":", ".").rpartition(".")
    return getattr(sys.modules[module], attribute, None) if module in sys.modules else None


def _by_path(name: str) -> Any:
    """What a dotted path leads to; None when it leads nowhere."""
    module, _, attribute = name.replace(":", ".").rpartition(".")
    if not module or not all(part.isidentifier() for part in module.split(".")):
        return None
    try:
        return getattr(import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        if error.name and f"{module}.".startswith(f"{error.name}."):
            return None
        raise MissingPluginError(f"Class {name} could not be loaded: {error}") from error
    except Exception as error:
        raise ConfigError(
            f"Class {name} could not be loaded: {type(error).__name__}: {error}"
        ) from error


def _description(plugin: Plugin) -> str:
    """A connector in the words that clients of Kafka Connect know."""
    kind = "connector"
    try:
        kind = "source" if issubclass(plugin.load(), SourceConnector) else "sink"
    except ConfigError:
        kind = "unknown"
    name, version = plugin.class_name, plugin.version
    return (
        f"PluginDesc{{klass=class {name}, name='{name}', version='{version}', "
        f"encodedVersion={version}, type={kind}, typeName='{kind}', location='classpath'}}"
    )


def make(plugins: Plugins, kind: Kind, name: str) -> Any:
    """A new instance of the plugin of that name.

    Raises:
        ConfigError: it is unknown, abstract, or its constructor fails.
    """
    cls = cast("type[Any]", plugins.find(kind, name))
    try:
        return cls()
    except Exception as error:
        raise ConfigError(
            f"Class {name} could not be instantiated: {type(error).__name__}: {error}"
        ) from error
