"""Looks at all tasks on every tick: whether they turn, move, and stay within their limits."""

import time
from collections.abc import Mapping
from typing import Final

from engine.model.task_id import TaskId
from engine.supervisor.cgroups import Cgroups
from engine.supervisor.memory_use import OomKills
from engine.supervisor.sampler import Sampler
from engine.supervisor.supervised_task import SupervisedTask
from engine.wire.herder_message import Sample

_PROGRESS_EVERY: Final = 4
"""Ticks between two looks at what moves."""


class TaskWatch:
    """Has the tasks notice what they cannot be told.

    Args:
        tasks: all there are, now and later.
        cgroups: tidied up now and then.
        kills: kept up to date, for who explains an end.
    """

    def __init__(
        self, tasks: Mapping[TaskId, SupervisedTask], cgroups: Cgroups, kills: OomKills
    ) -> None:
        self._tasks = tasks
        self._cgroups = cgroups
        self._kills = kills
        self._sampler = Sampler()
        self._ticks = 0

    def look(self, now: float) -> None:
        """One look; seconds, monotonic."""
        self._ticks += 1
        self._kills.tick()
        now_ns = time.monotonic_ns()
        looks_at_progress = self._ticks % _PROGRESS_EVERY == 0
        for task in list(self._tasks.values()):
            task.check(now_ns)
            task.check_memory(now)
            if looks_at_progress:
                task.check_progress(now)
        if looks_at_progress:
            self._cgroups.tidy()

    def samples(self) -> tuple[Sample, ...]:
        """What some of them use; others have their turn the next time."""
        alive = [(t.id.connector, t.id.task, t.pid) for t in self._tasks.values() if t.pid]
        return tuple(self._sampler.sample(alive))
