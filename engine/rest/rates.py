"""How fast tasks are: differences of their counters over the last seconds."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from engine.herder.herder import TaskCounters
from engine.herder.sampler import Sample
from engine.model.task_id import TaskId
from engine.wire.log_sequence import get_logger

INTERVAL: Final = 1.0
"""Seconds between two looks."""

_LOOKS: Final = 3
_CPU_WINDOW: Final = 10.0
"""Seconds; longer where a process is measured less often."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Records per second over the last two seconds, share of a CPU over the last ten."""

    records_in: float
    records_out: float
    cpu: float | None


class _Look(NamedTuple):
    when: float
    records_in: int
    records_out: int


@dataclass(slots=True)
class _Seen:
    """What was seen of one task, the newest last."""

    looks: deque[_Look] = field(default_factory=lambda: deque(maxlen=_LOOKS))
    samples: deque[Sample] = field(default_factory=deque)


class Rates:
    """Remembers what the counters were.

    Args:
        counters: those of the tasks as they are.
        clock: monotonic seconds.
    """

    def __init__(
        self, counters: Callable[[], Sequence[TaskCounters]], clock: Callable[[], float]
    ) -> None:
        self._counters = counters
        self._clock = clock
        self._tasks: dict[TaskId, _Seen] = {}

    def look(self) -> None:
        """Take down all counters; tasks that are gone are forgotten."""
        now = self._clock()
        tasks: dict[TaskId, _Seen] = {}
        for task, pid, records_in, records_out, sample in self._counters():
            seen = tasks[task] = self._tasks.get(task) or _Seen()
            seen.looks.append(_Look(now, records_in, records_out))
            _keep(seen.samples, sample if sample is not None and sample.pid == pid else None)
        self._tasks = tasks

    def of(self, task: TaskId) -> Rate | None:
        """None until the task was looked at twice."""
        seen = self._tasks.get(task)
        if seen is None or len(seen.looks) < 2:
            return None
        newest, before = seen.looks[-1], seen.looks[0]
        seconds = newest.when - before.when
        if seconds <= 0:
            return None
        return Rate(
            max(0, newest.records_in - before.records_in) / seconds,
            max(0, newest.records_out - before.records_out) / seconds,
            _cpu(seen.samples),
        )

    async def run(self) -> None:
        """Look every second until cancelled."""
        while True:
            try:
                self.look()
            except Exception:  # noqa: BLE001 (one failed look must not end all others)
                get_logger(__name__).exception("Counters cannot be read")
            await asyncio.sleep(INTERVAL)


def _keep(samples: deque[Sample], sample: Sample | None) -> None:
    """Those of the process that runs now, as old as they have to be."""
    if sample is None or (samples and samples[-1].pid != sample.pid):
        samples.clear()
    if sample is None or (samples and samples[-1].at == sample.at):
        return
    samples.append(sample)
    while len(samples) > 2 and sample.at - samples[1].at >= _CPU_WINDOW:
        samples.popleft()


def _cpu(samples: Sequence[Sample]) -> float | None:
    if len(samples) < 2:
        return None
    first, last = samples[0], samples[-1]
    return max(0.0, last.cpu_seconds - first.cpu_seconds) / (last.at - first.at)
