"""What a worker can be told about logs and about the journal of events."""

from collections.abc import Mapping
from typing import Final

from engine.api.config import LOW, ConfigType, at_least, config, key, one_of, parse
from engine.model.log_line import LEVELS

_LEVEL: Final = "engine.log.level"


@config
class LogLevelConfig:
    """How much is logged; a connector may say otherwise with the same key."""

    log_level: str = key(
        _LEVEL,
        default="INFO",
        importance=LOW,
        doc="The least severe log lines to write, until somebody changes that at run time.",
        check=one_of(*map(str.upper, LEVELS), ignore_case=True),
    )


@config
class LogConfig(LogLevelConfig):
    """How logs look, and how much of them is kept."""

    log_format: str = key(
        "engine.log.format",
        default="auto",
        importance=LOW,
        doc="How log lines look; auto is console on a terminal and json elsewhere.",
        check=one_of("auto", "json", "console"),
    )
    log_bytes_per_second: int = key(
        "engine.log.max.bytes.per.second",
        default=1 << 20,
        type=ConfigType.INT,
        importance=LOW,
        doc="How much of what one process prints is kept a second, on average; 0 keeps all.",
        check=at_least(0),
    )
    log_overflow: str = key(
        "engine.log.overflow",
        default="drop",
        importance=LOW,
        doc="Whether what a process prints beyond that is dropped and counted, or makes it wait.",
        check=one_of("drop", "block"),
    )
    log_retention_bytes: int = key(
        "engine.log.retention.bytes",
        default=48 << 20,
        importance=LOW,
        doc="How large the log of one task may become, all its files together.",
        check=at_least(3 * 1024),
    )
    log_retention: float = key(
        "engine.log.retention.ms",
        default=7 * 86400.0,
        milliseconds=True,
        importance=LOW,
        doc="How long logs are kept, those of former tasks among them; -1 for ever.",
        check=at_least(-1),
    )
    journal_retention_bytes: int = key(
        "engine.journal.retention.bytes",
        default=64 << 20,
        importance=LOW,
        doc="How large the journal of events may become.",
        check=at_least(3 * 1024),
    )
    journal_retention: float = key(
        "engine.journal.retention.ms",
        default=30 * 86400.0,
        milliseconds=True,
        importance=LOW,
        doc="How long events are kept in the journal; -1 for ever.",
        check=at_least(-1),
    )


def log_level(worker: Mapping[str, str], connector: Mapping[str, str]) -> str:
    """The level that a connector's tasks begin with: its own key goes before the worker's.

    Raises:
        ConfigError: there is no such level.
    """
    given = connector if _LEVEL in connector else worker
    return parse(LogLevelConfig, given).log_level.upper()
