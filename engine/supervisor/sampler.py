"""What the tasks' processes use: slow samples, a few of them on every tick."""

import contextlib
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from engine.wire.herder_message import Sample

if TYPE_CHECKING:
    import psutil

_EVERY: Final = 5
"""Ticks until the same task is sampled again."""


class Sampler:
    """Measures CPU and memory, a fifth of the tasks on each tick."""

    def __init__(self) -> None:
        self._ticks = itertools.count()
        self._processes: dict[int, psutil.Process] = {}

    def sample(self, tasks: Sequence[tuple[str, int, int]]) -> list[Sample]:
        """Samples of those whose turn it is.

        Args:
            tasks: (connector, task, pid) of all that have a process.
        """
        import psutil  # noqa: PLC0415 (the first tasks do not wait for it)

        turn = next(self._ticks) % _EVERY
        alive = {pid for _, _, pid in tasks}
        for pid in self._processes.keys() - alive:
            del self._processes[pid]
        new = [t for t in tasks if t[2] not in self._processes]
        due = [t for i, t in enumerate(tasks) if i % _EVERY == turn or t in new]
        samples = []
        for connector, task, pid in due:
            with contextlib.suppress(psutil.Error):
                samples.append(self._measure(connector, task, pid))
        return samples

    def _measure(self, connector: str, task: int, pid: int) -> Sample:
        import psutil  # noqa: PLC0415 (see above)

        process = self._processes.get(pid)
        if process is None:
            process = self._processes[pid] = psutil.Process(pid)
        memory = process.memory_full_info()
        cpu = process.cpu_times()
        return Sample(connector, task, pid, cpu.user + cpu.system, memory.rss, memory.pss)
