"""A task's process takes its limits upon itself, before any plugin's code runs."""

import contextlib
import os
import resource
from collections.abc import Callable
from typing import Final

from engine.api.errors import ConfigError, RetriableError
from engine.model.limits import Limits
from engine.wire.zygote_message import Confinement

_SPARE_DATA: Final = 256 << 20
"""Bytes beyond the hard limit that may be asked for where only sampling sees to the limit."""

_OOM_SCORE: Final = 200
"""The kernel, when it must choose, is to end a task rather than the supervisor."""

_DEFAULT_WEIGHT: Final = 100
_IO_LEVELS: Final = 8


def join(confinement: Confinement) -> None:
    """Enter the task's control groups.

    Raises:
        RetriableError: one of them does not take us.
    """
    for directory in confinement.directories:
        try:
            with open(f"{directory}/cgroup.procs", "w", encoding="ascii") as file:
                file.write("0")
        except OSError as error:
            raise RetriableError(f"{directory} cannot be joined: {error.strerror}") from error


def limit(limits: Limits, confinement: Confinement) -> None:
    """Set what a process sets for itself.

    Raises:
        ConfigError: this machine, or our user, does not allow for it.
    """
    _offer_ourselves_first()
    if limits.open_files:
        _set("engine.limit.open.files", limits.open_files, _limit_files)
    if limits.nice:
        _set("engine.limit.nice", limits.nice, lambda n: os.setpriority(os.PRIO_PROCESS, 0, n))
    if limits.memory_hard and "memory" not in confinement.controllers:
        data = limits.memory_hard + limits.memory_hard // 4 + _SPARE_DATA
        resource.setrlimit(resource.RLIMIT_DATA, (data, data))
    if limits.io_weight and "io" not in confinement.controllers:
        _set_io_level(io_level(limits.io_weight))


def _set(key: str, value: int, setter: Callable[[int], None]) -> None:
    try:
        setter(value)
    except (OSError, ValueError) as error:
        raise ConfigError(
            {key: f"Invalid value {value} for configuration {key}: it is not allowed here: {error}"}
        ) from error


def _limit_files(most: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def io_level(weight: int) -> int:
    """The priority among processes (``ionice``), 0 for the first, that is nearest to a weight."""
    level = _IO_LEVELS // 2
    while weight >= 2 * _DEFAULT_WEIGHT and level > 0:
        weight, level = weight // 2, level - 1
    while weight <= _DEFAULT_WEIGHT // 2 and level < _IO_LEVELS - 1:
        weight, level = weight * 2, level + 1
    return level


def _set_io_level(level: int) -> None:
    import psutil  # noqa: PLC0415 (few tasks need it)

    psutil.Process().ionice(psutil.IOPRIO_CLASS_BE, level)


def _offer_ourselves_first() -> None:
    path = "/proc/self/oom_score_adj"
    with contextlib.suppress(OSError, ValueError):
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)  # no decoder, no buffers: every task does this
        try:
            score = min(1000, int(os.read(fd, 16)) + _OOM_SCORE)
            os.pwrite(fd, str(score).encode(), 0)
        finally:
            os.close(fd)
