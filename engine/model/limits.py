"""What the processes of one task may use."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

GROUP: Final = "control group"
SAMPLING: Final = "sampling"
PROCESS: Final = "process"
NOBODY: Final = "nobody"
"""Who sees to a limit; ``process`` is the kernel too, by what the process has set for itself."""


class Limits(msgspec.Struct, frozen=True, array_like=True):
    """0 is no limit; sizes in bytes, times in seconds.

    Attributes:
        memory_soft: more than this, and the task is restarted in good order.
        memory_hard: more than this, and it is ended.
        soft_interval: between two restarts for ``memory_soft``.
        cpu_weight: share of the CPUs beside others where they do not suffice, 1 to 10000; others
            have 100.
        cpu_quota: CPUs at most, 0.5 for half of one.
        io_weight: as ``cpu_weight``, for disks.
        processes: processes and threads together.
        open_files: descriptors of each process.
        nice: -20 to 19.
        recycle_records: after so many records the task gets a fresh process.
        recycle_after: after so long it gets one.
    """

    memory_soft: int = 0
    memory_hard: int = 0
    soft_interval: float = 60.0
    cpu_weight: int = 0
    cpu_quota: float = 0.0
    io_weight: int = 0
    processes: int = 0
    open_files: int = 0
    nice: int = 0
    recycle_records: int = 0
    recycle_after: float = 0.0

    @property
    def memory(self) -> int:
        """What the task had better stay below; 0 when there is no such limit."""
        return min(filter(None, (self.memory_soft, self.memory_hard)), default=0)

    @property
    def controllers(self) -> frozenset[str]:
        """What a control group could enforce better than anything else."""
        wanted = {
            "memory": self.memory_hard,
            "cpu": self.cpu_weight or self.cpu_quota,
            "io": self.io_weight,
            "pids": self.processes,
        }
        return frozenset(name for name, value in wanted.items() if value)


NO_LIMITS: Final = Limits()

_SEEN_TO: Final[Mapping[str, tuple[str | None, str]]] = {
    "memory_soft": (None, SAMPLING),
    "memory_hard": ("memory", SAMPLING),
    "cpu_weight": ("cpu", NOBODY),
    "cpu_quota": ("cpu", NOBODY),
    "io_weight": ("io", PROCESS),
    "processes": ("pids", NOBODY),
    "open_files": (None, PROCESS),
    "nice": (None, PROCESS),
    "recycle_records": (None, SAMPLING),
    "recycle_after": (None, SAMPLING),
}
"""Limit → the controller that enforces it, and who does without that one."""


def seen_to_by(limits: Limits, controllers: Iterable[str]) -> dict[str, str]:
    """Who sees to each limit that is set.

    Args:
        limits: of a task.
        controllers: of the task's control group.
    """
    have = frozenset(controllers)
    return {
        name: GROUP if controller in have else other
        for name, (controller, other) in _SEEN_TO.items()
        if getattr(limits, name)
    }
