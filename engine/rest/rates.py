"""How fast tasks are: differences of their counters over the last seconds."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from engine.herder.herder import TaskView
from engine.model.task_id import TaskId
from engine.wire.log_sequence import get_logger

INTERVAL: Final = 1.0
"""Seconds between two looks."""

_LOOKS: Final = 11
_SHORT: Final = 2


@dataclass(frozen=True, slots=True)
class Rate:
    """Records per second over the last two seconds, share of a CPU over the last ten."""

    records_in: float
    records_out: float
    cpu: float | None


@dataclass(frozen=True, slots=True)
class _Look:
    when: float
    pid: int | None
    records_in: int
    records_out: int
    cpu_seconds: float | None


class Rates:
    """Remembers what the counters were.

    Args:
        views: the tasks as they are.
        clock: monotonic seconds.
    """

    def __init__(self, views: Callable[[], Sequence[TaskView]], clock: Callable[[], float]) -> None:
        self._views = views
        self._clock = clock
        self._looks: dict[TaskId, deque[_Look]] = {}

    def look(self) -> None:
        """Take down all counters; tasks that are gone are forgotten."""
        now = self._clock()
        looks: dict[TaskId, deque[_Look]] = {}
        for view in self._views():
            looks[view.id] = self._looks.get(view.id) or deque(maxlen=_LOOKS)
            looks[view.id].append(_look_at(view, now))
        self._looks = looks

    def of(self, task: TaskId) -> Rate | None:
        """None until the task was looked at twice."""
        looks = self._looks.get(task)
        if looks is None or len(looks) < 2:
            return None
        newest, before = looks[-1], looks[max(0, len(looks) - 1 - _SHORT)]
        seconds = newest.when - before.when
        if seconds <= 0:
            return None
        return Rate(
            max(0, newest.records_in - before.records_in) / seconds,
            max(0, newest.records_out - before.records_out) / seconds,
            _cpu(looks),
        )

    async def run(self) -> None:
        """Look every second until cancelled."""
        while True:
            try:
                self.look()
            except Exception:  # noqa: BLE001 (one failed look must not end all others)
                get_logger(__name__).exception("Counters cannot be read")
            await asyncio.sleep(INTERVAL)


def _look_at(view: TaskView, now: float) -> _Look:
    return _Look(
        now,
        view.report.pid,
        view.slot.get("records_in", 0),
        view.slot.get("records_out", 0),
        view.sample.cpu_seconds if view.sample else None,
    )


def _cpu(looks: Sequence[_Look]) -> float | None:
    """Samples come every few seconds only: measure from one change of the value to another."""
    newest = looks[-1]
    if newest.pid is None or newest.cpu_seconds is None:
        return None
    changes: list[_Look] = []
    for look in looks:
        if look.pid != newest.pid or look.cpu_seconds is None:
            continue
        if not changes or look.cpu_seconds != changes[-1].cpu_seconds:
            changes.append(look)
    if len(changes) < 2:
        return 0.0 if len(looks) == _LOOKS else None
    first, last = changes[0], changes[-1]
    return max(0.0, (last.cpu_seconds or 0.0) - (first.cpu_seconds or 0.0)) / (
        last.when - first.when
    )
