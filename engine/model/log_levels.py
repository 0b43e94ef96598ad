"""Levels of loggers that are changed while the engine runs. Pure.

Loggers are named as in Python, with dots between the parts; ``root`` is above all. A logger without
a level of its own has that of the nearest one above it.
"""

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

import msgspec

from engine.api.config import nearest
from engine.model.log_line import LEVELS

ROOT: Final = "root"

KNOWN: Final = ("engine", "engine.supervisor", "engine.task", "engine.task.sink",
                "engine.task.source")  # fmt: skip
"""Loggers that processes other than the herder have."""

_LEVELS: Final = ("OFF", "FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE", "ALL")
"""Upstream's names."""

_NUMBERS: Final[Mapping[str, int]] = {**LEVELS, "all": LEVELS["trace"]}

_JAVA: Final[Mapping[str, str]] = {
    "org.apache.kafka.connect": "engine",
    "org.apache.kafka.connect.runtime.WorkerSinkTask": "engine.task.sink",
    "org.apache.kafka.connect.runtime.WorkerSourceTask": "engine.task.source",
    "org.apache.kafka.connect.runtime.rest": "engine.rest",
}
"""Our names for loggers that people of Kafka Connect know."""


class LevelSetting(msgspec.Struct, frozen=True, array_like=True):
    """A level that somebody has set, and when: milliseconds since the epoch."""

    level: str
    modified_ms: int


T = TypeVar("T")
Settings = Mapping[str, LevelSetting]
"""By logger."""


def level_of(text: str) -> str:
    """The level as it is shown.

    Raises:
        ValueError: nobody knows it; with the nearest one that there is.
    """
    level = text.strip().upper()
    if level not in _LEVELS:
        likely = nearest(level, _LEVELS)
        hint = f" Did you mean {likely}?" if likely else ""
        raise ValueError(f"invalid log level '{text}'.{hint}")
    return level


def own_name(logger: str) -> str:
    """Our name of a logger, which may be given by Kafka Connect's."""
    return _JAVA.get(logger, logger)


def number_of(level: str) -> int:
    """How severe an event must be at least; as :mod:`logging` counts."""
    return _NUMBERS.get(level.lower(), LEVELS["info"])


def effective(levels: Mapping[str, str], logger: str, default: str) -> str:
    """The level that holds for a logger."""
    name = logger
    while name:
        if name in levels:
            return levels[name]
        name = name.rpartition(".")[0]
    return levels.get(ROOT, default)


def changed(
    settings: Settings, known: Iterable[str], logger: str, level: str, default: str
) -> list[str]:
    """The loggers whose level a new setting changes: this one, and others that follow it."""
    before = {name: each.level for name, each in settings.items()}
    after = {**_without_those_below(before, logger), logger: level}
    names = {ROOT, logger, *before, *known}
    return sorted(n for n in names if effective(before, n, default) != effective(after, n, default))


def with_level(settings: Settings, logger: str, level: str, now_ms: int) -> dict[str, LevelSetting]:
    """The settings with another one; those of loggers below it hold no longer."""
    return {**_without_those_below(settings, logger), logger: LevelSetting(level, now_ms)}


def merged(worker: Settings, connector: Settings) -> dict[str, LevelSetting]:
    """What holds for a connector's tasks: its own settings go before the worker's."""
    found = {} if ROOT in connector else dict(worker)
    for name in connector:
        found = _without_those_below(found, name)
    return {**found, **connector}


def levels_in(settings: Settings) -> dict[str, str]:
    """Levels alone, by logger."""
    return {name: each.level for name, each in settings.items()}


def _without_those_below(settings: Mapping[str, T], logger: str) -> dict[str, T]:
    return {name: each for name, each in settings.items() if not name.startswith(f"{logger}.")}
