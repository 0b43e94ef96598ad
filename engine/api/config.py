"""Declaring configuration once: for parsing, checking, the REST API and the reference pages.

::

    @config
    class FileStreamSinkConfig:
        file: str | None = key("file", default=None, doc="File to write.", importance=HIGH)

    keys_of(FileStreamSinkConfig)          # what REST and the checks need to know
    parse(FileStreamSinkConfig, mapping)   # the typed values, or ConfigError with every problem

Messages are worded as Kafka's ``ConfigDef`` words them.
"""

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple, TypeVar, cast, dataclass_transform, get_type_hints

from engine.api.errors import ConfigError


class Importance(StrEnum):
    """How much a key matters to somebody who sets things up."""

    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


HIGH, MEDIUM, LOW = Importance.HIGH, Importance.MEDIUM, Importance.LOW


class ConfigType(StrEnum):
    """Types of values in Kafka's words (upstream: ``ConfigDef.Type``)."""

    BOOLEAN = "BOOLEAN"
    STRING = "STRING"
    INT = "INT"
    SHORT = "SHORT"
    LONG = "LONG"
    DOUBLE = "DOUBLE"
    LIST = "LIST"
    CLASS = "CLASS"
    PASSWORD = "PASSWORD"  # noqa: S105 (the name of a type)


class Secret(str):
    """A value that never shows in a log, a status or a trace."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'[hidden]'"


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Any = _Required()
"""Default of a key that must be given."""

Check = Callable[[Any], str | None]
"""Says what is wrong with a parsed value (``Value must be at least 1``), or None."""


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """One key and what is known of it (upstream: ``ConfigDef.ConfigKey``).

    Attributes:
        default: the parsed default, or REQUIRED.
        milliseconds: the text holds milliseconds, the parsed value seconds.
    """

    name: str
    type: ConfigType
    default: Any = REQUIRED
    doc: str = ""
    importance: Importance = MEDIUM
    check: Check | None = None
    group: str | None = None
    order: int = -1
    width: str = "NONE"
    display_name: str = ""
    milliseconds: bool = False
    recommended: tuple[str, ...] = ()

    @property
    def is_required(self) -> bool:
        """Whether the key must be given."""
        return self.default is REQUIRED

    def default_text(self) -> str | None:
        """The default as it would be written in a file; None when there is none."""
        if self.is_required or self.default is None:
            return None
        if isinstance(self.default, bool):
            return str(self.default).lower()
        if self.milliseconds:
            return str(round(self.default * 1000))
        if isinstance(self.default, (list, tuple)):
            return ",".join(self.default)
        return str(self.default)

    def parse(self, text: str | None) -> Any:
        """The value of the text, the default for None.

        Raises:
            ValueError: with the whole message.
        """
        if text is None:
            if self.is_required:
                raise ValueError(
                    f'Missing required configuration "{self.name}" which has no default value.'
                )
            return self.default
        try:
            value = _PARSERS[self.type](text)
        except ValueError as error:
            raise ValueError(
                f"Invalid value {self.shown(text)} for configuration {self.name}: {error}"
            ) from None
        problem = self.check(value) if self.check else None
        if problem:
            shown = self.shown(_shown(value))
            raise ValueError(f"Invalid value {shown} for configuration {self.name}: {problem}")
        return value / 1000 if self.milliseconds else value

    def shown(self, text: str) -> str:
        """The text as it may be shown to people."""
        return "[hidden]" if self.type is ConfigType.PASSWORD else text


ConfigKeys = Sequence[ConfigKey]
"""The keys of one component, in the order in which they are shown."""

NO_KEYS: ConfigKeys = ()


def key(  # noqa: PLR0913 (all but one have defaults)
    name: str,
    *,
    default: Any = REQUIRED,
    doc: str,
    importance: Importance = MEDIUM,
    check: Check | None = None,
    type: ConfigType | None = None,  # noqa: A002 (Kafka's word)
    milliseconds: bool = False,
    group: str | None = None,
    width: str = "NONE",
    display_name: str = "",
    recommended: Sequence[str] = (),
) -> Any:
    """Declare a key; the type is the field's annotation unless ``type`` says otherwise."""
    made: dict[str, Any] = {
        "name": name, "default": default, "doc": doc, "importance": importance, "check": check,
        "type": type, "milliseconds": milliseconds, "group": group, "width": width,
        "display_name": display_name or name, "recommended": tuple(recommended),
    }  # fmt: skip
    return _Key(made)


class _Key:
    """Stands in the class's body until the class is made."""

    __slots__ = ("made",)

    def __init__(self, made: dict[str, Any]) -> None:
        self.made = made


C = TypeVar("C")


@dataclass_transform(field_specifiers=(key,), frozen_default=True, kw_only_default=True)
def config(cls: type[C]) -> type[C]:
    """Make a class whose fields are keys: immutable, equal by value, made with named values.

    Like a frozen dataclass, but nothing is compiled for it: there are many such classes, and few of
    their instances. An instance holds what was given; defaults are the class's.
    """
    own = {name: each.made for name, each in vars(cls).items() if isinstance(each, _Key)}
    inherited = [vars(base).get("__config_keys__", {}) for base in reversed(cls.__mro__[1:])]
    declarations = {name: made for each in (*inherited, own) for name, made in each.items()}
    for name, made in own.items():
        if made["default"] is REQUIRED:
            delattr(cls, name)
        else:
            setattr(cls, name, made["default"])
    cls.__config_keys__ = declarations  # type: ignore[attr-defined]
    if "__post_init__" in vars(cls):
        raise TypeError(f"{cls.__name__}: checks belong to the keys; nothing calls __post_init__")
    for name in ("__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__"):
        if vars(cls).get(name) is None:  # a class with an __eq__ of its own has __hash__ = None
            setattr(cls, name, vars(_Config)[name])
    return cls


class _Config:
    """What instances of all config classes do."""

    __config_keys__: Mapping[str, Mapping[str, Any]]

    def __init__(self, **values: Any) -> None:
        names = self.__config_keys__
        unknown = values.keys() - names.keys()
        missing = {n for n in names if n not in values and names[n]["default"] is REQUIRED}
        if unknown or missing:
            wrong = f"unexpected {sorted(unknown)}" if unknown else f"missing {sorted(missing)}"
            raise TypeError(f"{type(self).__name__}: {wrong}")
        self.__dict__.update(values)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__config_keys__)
        return f"{type(self).__name__}({shown})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__config_keys__)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in self.__config_keys__))

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"cannot assign to {name} of a configuration")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"cannot delete {name} of a configuration")


def changed(made: C, **values: Any) -> C:
    """The same configuration with other values of some fields."""
    names = made.__config_keys__  # type: ignore[attr-defined]
    given = {name: value for name, value in vars(made).items() if name in names}
    return type(made)(**{**given, **values})


def keys_of(cls: type) -> ConfigKeys:
    """The keys that a config class declares."""
    return _declared(cls).keys


def names_of(cls: type) -> Collection[str]:
    """The names of these keys."""
    return _declared(cls).by_name.keys()


class _Declared(NamedTuple):
    """What a config class declares.

    Attributes:
        by_name: by key, the field's name and what is known of the key.
        required: names of the fields that must be given.
    """

    keys: ConfigKeys
    by_name: Mapping[str, tuple[str, ConfigKey]]
    required: frozenset[str]


def _declare(cls: Any) -> _Declared:
    hints = get_type_hints(cls)
    by_field = {
        name: _key_of(made, hints[name], index)
        for index, (name, made) in enumerate(cls.__config_keys__.items())
    }
    return _Declared(
        tuple(by_field.values()),
        {each.name: (field_name, each) for field_name, each in by_field.items()},
        frozenset(field_name for field_name, each in by_field.items() if each.is_required),
    )


_declared: Callable[[Any], _Declared] = cache(_declare)


def _key_of(declared: Mapping[str, Any], hint: Any, index: int) -> ConfigKey:
    made = dict(declared)
    made["type"] = made["type"] or (ConfigType.LONG if made["milliseconds"] else _type_of(hint))
    made["order"] = index + 1 if made["group"] else -1
    return ConfigKey(**made)


def _type_of(hint: Any) -> ConfigType:
    text = str(getattr(hint, "__name__", hint)).replace(" | None", "")
    for start, config_type in _TYPES.items():
        if text.startswith(start):
            return config_type
    raise TypeError(f"no configuration type for {hint!r}")


_TYPES = {
    "bool": ConfigType.BOOLEAN,
    "str": ConfigType.STRING,
    "int": ConfigType.LONG,
    "float": ConfigType.DOUBLE,
    "tuple": ConfigType.LIST,
    "list": ConfigType.LIST,
    "Secret": ConfigType.PASSWORD,
    "engine.api.config.Secret": ConfigType.PASSWORD,
}


def parse(cls: type[C], values: Mapping[str, str]) -> C:
    """The typed configuration; keys that the class does not declare are left alone.

    Raises:
        ConfigError: with every problem at once.
    """
    _keys, by_name, required = _declared(cls)
    given: dict[str, Any] = {}
    try:
        for name, text in values.items():
            if text is not None and name in by_name:
                field_name, each = by_name[name]
                given[field_name] = each.parse(text)
    except ValueError:
        raise _all_problems(cls, values) from None
    if not required <= given.keys():
        raise _all_problems(cls, values)
    made = cls.__new__(cls)
    made.__dict__.update(given)  # defaults are the class's: what nobody gave is not even looked at
    return made


def _all_problems(cls: type, values: Mapping[str, str]) -> ConfigError:
    _parsed, problems = parse_keys(keys_of(cls), values)
    return ConfigError({name: "\n".join(messages) for name, messages in problems.items()})


def parse_keys(
    keys: ConfigKeys, values: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Values that parse and problems of those that do not, both by key."""
    parsed: dict[str, Any] = {}
    problems: dict[str, list[str]] = {}
    for each in keys:
        try:
            parsed[each.name] = each.parse(values.get(each.name))
        except ValueError as error:
            problems[each.name] = [str(error)]
    return parsed, problems


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like this one, if any does."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def at_least(least: float) -> Check:
    """A check for numbers (upstream: ``ConfigDef.Range.atLeast``)."""
    return lambda value: None if value >= least else f"Value must be at least {least:g}"


def one_of(*choices: str, ignore_case: bool = False) -> Check:
    """A check for texts with few values (upstream: ``ConfigDef.ValidString``)."""
    known = {c.lower() for c in choices} if ignore_case else set(choices)

    def check(value: Any) -> str | None:
        if value is None or (str(value).lower() if ignore_case else value) in known:
            return None
        return f"String must be one of{' (case insensitive)' * ignore_case}: {', '.join(choices)}"

    return check


def non_empty(value: Any) -> str | None:
    """A check for texts that must say something (upstream: ``NonEmptyString``)."""
    return "String must be non-empty" if value is not None and not value else None


def _shown(value: Any) -> str:
    """A parsed value as messages name it."""
    return f"[{', '.join(value)}]" if isinstance(value, tuple) else str(value)


def _boolean(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered not in ("true", "false"):
        raise ValueError("Expected value to be either true or false")
    return lowered == "true"


def _integer(bits: int, name: str) -> Callable[[str], int]:
    def parse_integer(text: str) -> int:
        try:
            value = int(text.strip())
        except ValueError:
            raise ValueError(f"Not a number of type {name}") from None
        if not -(1 << bits - 1) <= value < 1 << bits - 1:
            raise ValueError(f"Not a number of type {name}")
        return value

    return parse_integer


def _double(text: str) -> float:
    try:
        return float(text.strip())
    except ValueError:
        raise ValueError("Not a number of type DOUBLE") from None


def _list(text: str) -> tuple[str, ...]:
    stripped = text.strip()
    return tuple(part.strip() for part in stripped.split(",")) if stripped else ()


_PARSERS: Mapping[ConfigType, Callable[[str], Any]] = {
    ConfigType.BOOLEAN: _boolean,
    ConfigType.STRING: str.strip,
    ConfigType.INT: _integer(32, "INT"),
    ConfigType.SHORT: _integer(16, "SHORT"),
    ConfigType.LONG: _integer(64, "LONG"),
    ConfigType.DOUBLE: _double,
    ConfigType.LIST: _list,
    ConfigType.CLASS: str.strip,
    ConfigType.PASSWORD: cast("Callable[[str], Any]", Secret),
}
