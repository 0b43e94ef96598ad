"""What a worker, or a connector for itself, can say about what tasks may use."""

from collections.abc import Mapping
from typing import Final

from engine.api.config import LOW, Check, at_least, config, key, parse
from engine.api.errors import ConfigError
from engine.model.limits import NO_LIMITS, Limits

_PREFIXES: Final = ("engine.limit.", "engine.recycle.")
_LEAST_MEMORY: Final = 32 << 20
_LEAST_PROCESSES: Final = 24
_LEAST_FILES: Final = 64
_MOST_WEIGHT: Final = 10_000


def _between(least: int, most: int) -> Check:
    return lambda value: (
        None if least <= value <= most else f"Value must be between {least} and {most}"
    )


def _none_or_at_least(least: int) -> Check:
    """What a task needs to start at all must not be refused to it."""
    return lambda value: (
        None if value == 0 or value >= least else f"Value must be 0 or at least {least}"
    )


@config
class LimitConfig:
    """Limits of each task; a connector may say otherwise with the same keys."""

    limit_memory_soft: int = key(
        "engine.limit.memory.soft.bytes",
        default=0,
        importance=LOW,
        doc="A task that uses more memory gets a fresh process, after a commit; 0: no limit.",
        check=_none_or_at_least(_LEAST_MEMORY),
    )
    limit_memory_hard: int = key(
        "engine.limit.memory.hard.bytes",
        default=0,
        importance=LOW,
        doc="A task that uses more memory is ended; 0: no limit.",
        check=_none_or_at_least(_LEAST_MEMORY),
    )
    limit_memory_interval: float = key(
        "engine.limit.memory.soft.interval.ms",
        default=60.0,
        milliseconds=True,
        importance=LOW,
        doc="The least time between two such fresh processes.",
        check=at_least(0),
    )
    limit_cpu_weight: int = key(
        "engine.limit.cpu.weight",
        default=0,
        importance=LOW,
        doc="A task's share of the CPUs where they do not suffice, 1 to 10000; others have 100; "
        "0: as others.",
        check=_between(0, _MOST_WEIGHT),
    )
    limit_cpu_quota: float = key(
        "engine.limit.cpu.quota",
        default=0.0,
        importance=LOW,
        doc="How many CPUs a task may use, 0.5 for half of one; 0: no limit.",
        check=at_least(0),
    )
    limit_io_weight: int = key(
        "engine.limit.io.weight",
        default=0,
        importance=LOW,
        doc="A task's share of the disks where they do not suffice, 1 to 10000; others have 100; "
        "0: as others.",
        check=_between(0, _MOST_WEIGHT),
    )
    limit_processes: int = key(
        "engine.limit.processes",
        default=0,
        importance=LOW,
        doc="How many processes and threads a task may have, its own among them; 0: no limit.",
        check=_none_or_at_least(_LEAST_PROCESSES),
    )
    limit_open_files: int = key(
        "engine.limit.open.files",
        default=0,
        importance=LOW,
        doc="How many descriptors each process of a task may have; 0: no limit of its own.",
        check=_none_or_at_least(_LEAST_FILES),
    )
    limit_nice: int = key(
        "engine.limit.nice",
        default=0,
        importance=LOW,
        doc="How nice a task is to others, -20 to 19.",
        check=_between(-20, 19),
    )
    recycle_records: int = key(
        "engine.recycle.records",
        default=0,
        importance=LOW,
        doc="After how many records a task gets a fresh process, after a commit; 0: never.",
        check=at_least(0),
    )
    recycle_after: float = key(
        "engine.recycle.after.ms",
        default=0.0,
        milliseconds=True,
        importance=LOW,
        doc="After how long a task gets one, give or take a tenth; 0: never.",
        check=at_least(0),
    )

    def limits_of(self) -> Limits:
        """The same as the supervisor wants it."""
        return Limits(
            memory_soft=self.limit_memory_soft,
            memory_hard=self.limit_memory_hard,
            soft_interval=self.limit_memory_interval,
            cpu_weight=self.limit_cpu_weight,
            cpu_quota=self.limit_cpu_quota,
            io_weight=self.limit_io_weight,
            processes=self.limit_processes,
            open_files=self.limit_open_files,
            nice=self.limit_nice,
            recycle_records=self.recycle_records,
            recycle_after=self.recycle_after,
        )


def limits(worker: Mapping[str, str], connector: Mapping[str, str]) -> Limits:
    """The limits of a connector's tasks: its own keys go before the worker's.

    Raises:
        ConfigError: a value is wrong.
    """
    given = (*worker.items(), *connector.items())
    merged = {k: v for k, v in given if k.startswith(_PREFIXES)}
    if not merged:
        return NO_LIMITS
    found = parse(LimitConfig, merged).limits_of()
    if found.memory_hard and found.memory_soft > found.memory_hard:
        soft, hard = "engine.limit.memory.soft.bytes", "engine.limit.memory.hard.bytes"
        text = f"Invalid value {found.memory_soft} for configuration {soft}: Value must not be "
        raise ConfigError({soft: f"{text}greater than {hard}, which is {found.memory_hard}"})
    return found
