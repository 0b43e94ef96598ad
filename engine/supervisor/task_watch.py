"""Looks after all tasks on every tick: whether they turn, move, and stay within their limits.

Who is due comes out of a heap: a tick of a supervisor with hundreds of tasks that are well touches
a few of them, as touching all would be most of what it does.
"""

import contextlib
import heapq
import time
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from engine.model.progress import Progress
from engine.model.task_id import TaskId
from engine.model.watch import (
    fell_silent,
    look_at_progress,
    next_look,
    next_progress_look,
    recycle_due,
)  # fmt: skip
from engine.supervisor.cgroups import Cgroups
from engine.supervisor.memory_use import OomKills
from engine.supervisor.own_errors import tell
from engine.supervisor.supervised_task import SupervisedTask

_TIDY_EVERY: Final = 4
"""Ticks between two looks for control groups that are of no use any more."""


class _Watched(msgspec.Struct):
    """What was seen of a task, and when it is due again: CLOCK_MONOTONIC."""

    task: SupervisedTask
    silent_at: int = 0
    moves_at: int = 0
    generation: int = 0
    progress: Progress = msgspec.field(default_factory=Progress)


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
        self._watched: dict[TaskId, _Watched] = {}
        self._due: list[tuple[int, int, _Watched]] = []
        self._limited: dict[TaskId, SupervisedTask] = {}
        self._numbers = 0
        self._ticks = 0

    def watch(self, task: SupervisedTask) -> None:
        """Look at this task from now on; called again when what it is judged by has changed."""
        before = self._watched.get(task.id)
        watched = self._watched[task.id] = _Watched(task)
        if before is not None and before.task is task:
            watched.generation, watched.progress = before.generation, before.progress
        self._put(watched, 0)
        if task.state.limits.memory:
            self._limited[task.id] = task
        else:
            self._limited.pop(task.id, None)

    def look(self) -> None:
        """One look."""
        self._ticks += 1
        self._kills.tick()
        now_ns = time.monotonic_ns()
        due = []
        while self._due and self._due[0][0] <= now_ns:
            due.append(heapq.heappop(self._due)[2])
        for watched in due:
            if self._is_current(watched):
                with _for_itself(watched.task):
                    _look_at(watched, now_ns)
                self._put(watched, min(watched.silent_at, watched.moves_at))
        for task in list(self._limited.values()):
            if self._tasks.get(task.id) is task:
                with _for_itself(task):
                    task.check_memory(now_ns / 1e9)
            else:
                del self._limited[task.id]
        if self._ticks % _TIDY_EVERY == 0:
            self._cgroups.tidy()

    def _put(self, watched: _Watched, due_ns: int) -> None:
        self._numbers += 1  # equal times are no reason to compare tasks
        heapq.heappush(self._due, (due_ns, self._numbers, watched))

    def _is_current(self, watched: _Watched) -> bool:
        """Whether the task is still there, and no newer entry is in the heap."""
        task = watched.task
        if self._watched.get(task.id) is not watched:
            return False
        if self._tasks.get(task.id) is task:
            return True
        del self._watched[task.id]
        return False


@contextlib.contextmanager
def _for_itself(task: SupervisedTask) -> Iterator[None]:
    """A look that fails keeps nobody from looking at the others."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 (whatever it is, it is told)
        tell(f"a look at task {task.id}", error)


def _look_at(watched: _Watched, now_ns: int) -> None:
    if now_ns >= watched.silent_at:
        _look_at_heartbeat(watched, now_ns)
    if now_ns >= watched.moves_at:
        _look_at_progress(watched, now_ns)


def _look_at_heartbeat(watched: _Watched, now_ns: int) -> None:
    task = watched.task
    silence = fell_silent(task.state, task.slot, now_ns)
    if silence is not None:
        task.handle(silence)
    watched.silent_at = next_look(task.state, task.slot, now_ns)


def _look_at_progress(watched: _Watched, now_ns: int) -> None:
    task, now = watched.task, now_ns / 1e9
    if watched.generation != task.state.generation:
        watched.generation, watched.progress = task.state.generation, Progress()
    watched.progress, event = look_at_progress(watched.progress, task.state, task.slot, now)
    if event is not None:
        task.handle(event)
    due = recycle_due(task.state, task.slot, now)
    if due is not None:
        task.handle(due)
    watched.moves_at = next_progress_look(task.state, now_ns)
