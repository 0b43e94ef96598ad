"""The journal: every transition of every task, who or what caused it, and why; append-only.

One JSON object a line, in ``journal/events.jsonl`` below the data directory; see
:mod:`engine.model.journal_event` for its keys. Recording costs microseconds: lines are kept in
memory and written together a little later, without fsync. While the disk takes nothing they wait,
up to a bound; what is beyond it is counted, and an event says so afterwards.
"""

import asyncio
import collections
import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from engine.model.death import Death
from engine.model.journal_event import TaskTransitions
from engine.model.lifecycle.task_state import TaskState
from engine.model.task_id import TaskId
from engine.supervisor.handover import JournalHandover
from engine.supervisor.log import encoded, now_text
from engine.supervisor.log_file import LogFile
from engine.supervisor.settings import Retention

_WRITTEN_WITHIN: Final = 0.1
"""Seconds that events wait for each other."""

_TRIED_AGAIN: Final = 1.0
_MOST_WAITING: Final = 4 << 20


class Journal:
    """Writes events; lives in the supervisor's loop.

    Args:
        path: the file; older parts of it have ``.1`` and ``.2`` behind their names.
        epoch: number of this run of the engine; every event carries it.

    Attributes:
        lost: events that the disk did not take in time.
    """

    def __init__(self, path: Path, retention: Retention, epoch: int) -> None:
        self._file = LogFile(path, retention)
        self._epoch = epoch
        self._seq = 0
        self._waiting: collections.deque[bytes] = collections.deque()
        self._waiting_bytes = 0
        self._untold = 0
        self._timer: asyncio.TimerHandle | None = None
        self._actor: str | None = None
        self._tasks = TaskTransitions()
        self.lost = 0

    def hand_over(self) -> JournalHandover:
        """What a successor needs to go on; what the disk takes now is written."""
        self.write()
        return JournalHandover(self._seq, b"".join(self._waiting), self._tasks.known())

    def take_over(self, handed: JournalHandover) -> None:
        """Go on where a predecessor stopped, in the same run of the engine."""
        self._seq = handed.seq
        self._tasks.remember(handed.known)
        for line in handed.waiting.splitlines(keepends=True):
            self._keep(line)

    @property
    def problem(self) -> str | None:
        """Why the disk takes nothing; None when it does."""
        return self._file.problem

    @contextlib.contextmanager
    def acting(self, actor: str | None) -> Iterator[None]:
        """Whatever is recorded meanwhile, and what follows from it, was caused by this one."""
        self._actor = actor
        try:
            yield
        finally:
            self._actor = None

    def task(
        self, task: TaskId, event: str, state: TaskState, pid: int | None, death: Death | None
    ) -> None:
        """A task changed; events are those of :class:`engine.wire.herder_message.TaskEvent`."""
        fields = self._tasks.fields(task, event, state, pid, death, self._actor)
        if fields is not None:
            self.record(event, **fields)

    def ordered(self, task: TaskId) -> None:
        """What the task does next was ordered now."""
        self._tasks.ordered(task, self._actor)

    def record(self, event: str, **fields: Any) -> None:
        """Something happened; fields without a value are left out."""
        self._seq += 1
        told = {k: v for k, v in fields.items() if v is not None}
        told.setdefault("by", self._actor or "supervisor")
        head = {"timestamp": now_text(), "epoch": self._epoch, "seq": self._seq, "event": event}
        self._keep(encoded({**head, **told}) + b"\n")

    def logged(self, level: str, text: str, fields: Mapping[str, Any]) -> None:
        """The supervisor warned of something that is no task's transition."""
        if level in ("warning", "error") and "task" not in fields:
            self.record("log", level=level, text=text, **fields)

    def _keep(self, line: bytes) -> None:
        if self._waiting_bytes + len(line) > _MOST_WAITING:
            self.lost += 1
            self._untold += 1
            return
        self._waiting.append(line)
        self._waiting_bytes += len(line)
        if self._timer is None:
            self._write_in(_WRITTEN_WITHIN)

    def _write_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self.write)

    def write(self) -> None:
        """Write what waits; what the disk does not take now is tried again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiting:
            return
        if not self._file.write(b"".join(self._waiting)):
            self._write_in(_TRIED_AGAIN)
            return
        self._waiting.clear()
        self._waiting_bytes = 0
        untold, self._untold = self._untold, 0
        if untold:
            self.record("events_lost", count=untold, why="the disk took nothing for too long")

    def close(self) -> None:
        """Write what waits, as far as the disk takes it, and close the file."""
        self.write()
        if self._timer is not None:
            self._timer.cancel()
        if self._waiting:
            self.lost += len(self._waiting)
        self._file.close()
