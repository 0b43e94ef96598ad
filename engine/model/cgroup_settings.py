"""What is written into a control group's files for the limits of a task. Pure."""

from typing import Final, NamedTuple

from engine.model.limits import Limits

_PERIOD_US: Final = 100_000
_DEFAULT_WEIGHT: Final = 100
_V1_SHARES: Final = 1024
_V1_MOST_WEIGHT: Final = 1000


class Setting(NamedTuple):
    """A file of a group and what to write into it.

    Attributes:
        is_needed: without it the limit does not hold; others are written where they can be.
    """

    file: str
    value: str
    is_needed: bool = True


def settings(limits: Limits, controller: str, version: int) -> list[Setting]:
    """What makes a controller enforce its part of the limits, in order."""
    return _WRITERS[controller, version](limits)


def _memory_v2(limits: Limits) -> list[Setting]:
    has_limit = limits.memory_hard > 0
    return [
        Setting("memory.max", str(limits.memory_hard) if has_limit else "max", has_limit),
        Setting("memory.swap.max", "0" if has_limit else "max", is_needed=False),
        Setting("memory.oom.group", "1", is_needed=False),
    ]


def _memory_v1(limits: Limits) -> list[Setting]:
    hard = str(limits.memory_hard or -1)
    return [
        # memory and swap together may not be less than memory alone, at any time between
        Setting("memory.memsw.limit_in_bytes", "-1", is_needed=False),
        Setting("memory.limit_in_bytes", hard, limits.memory_hard > 0),
        Setting("memory.memsw.limit_in_bytes", hard, is_needed=False),
    ]


def _cpu_v2(limits: Limits) -> list[Setting]:
    quota = f"{_quota(limits)} {_PERIOD_US}" if limits.cpu_quota else "max"
    return [
        Setting("cpu.weight", str(limits.cpu_weight or _DEFAULT_WEIGHT), limits.cpu_weight > 0),
        Setting("cpu.max", quota, limits.cpu_quota > 0),
    ]


def _cpu_v1(limits: Limits) -> list[Setting]:
    weight = limits.cpu_weight or _DEFAULT_WEIGHT
    shares = max(2, weight * _V1_SHARES // _DEFAULT_WEIGHT)
    quota = str(_quota(limits)) if limits.cpu_quota else "-1"
    return [
        Setting("cpu.shares", str(shares), limits.cpu_weight > 0),
        Setting("cpu.cfs_period_us", str(_PERIOD_US), limits.cpu_quota > 0),
        Setting("cpu.cfs_quota_us", quota, limits.cpu_quota > 0),
    ]


def _quota(limits: Limits) -> int:
    """Microseconds in a period; the kernel takes no less than a millisecond."""
    return max(1000, round(limits.cpu_quota * _PERIOD_US))


def _io_v2(limits: Limits) -> list[Setting]:
    return [
        Setting("io.weight", f"default {limits.io_weight or _DEFAULT_WEIGHT}", limits.io_weight > 0)
    ]


def _io_v1(limits: Limits) -> list[Setting]:
    weight = min(limits.io_weight or _DEFAULT_WEIGHT, _V1_MOST_WEIGHT)
    return [Setting("blkio.bfq.weight", str(weight), limits.io_weight > 0)]


def _pids(limits: Limits) -> list[Setting]:
    return [Setting("pids.max", str(limits.processes or "max"), limits.processes > 0)]


_WRITERS: Final = {
    ("memory", 1): _memory_v1,
    ("memory", 2): _memory_v2,
    ("cpu", 1): _cpu_v1,
    ("cpu", 2): _cpu_v2,
    ("io", 1): _io_v1,
    ("io", 2): _io_v2,
    ("pids", 1): _pids,
    ("pids", 2): _pids,
}
