"""The last output of each task's last dead process, in a file for whoever explains that death.

Written a little after the death and a few files at a time, so that a thousand deaths at once hold
up no restart. What cannot be kept is given up: the log of the task has it too, as a rule.
"""

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Final

import msgspec

from engine.model.death import Death
from engine.model.last_output import LastOutput, output_file
from engine.model.task_id import TaskId

_AFTER: Final = 0.05
_SLICE: Final = 0.005
"""Seconds that the loop is held up at a time."""

_MOST_WAITING: Final = 16 << 20


class LastOutputs:
    """Keeps outputs, the newest of each task.

    Args:
        data_dir: they are in ``deaths`` below it, one a task.

    Attributes:
        lost: outputs that could not be kept.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._waiting: dict[TaskId, tuple[Death, bytes]] = {}
        self._waiting_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self.lost = 0

    def keep(self, task: TaskId, death: Death, output: bytes) -> None:
        """Write this one soon."""
        self._forget(task)
        while self._waiting and self._waiting_bytes + len(output) > _MOST_WAITING:
            self._forget(next(iter(self._waiting)))
            self.lost += 1
        self._waiting[task] = (death, output)
        self._waiting_bytes += len(output)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_AFTER, self._write_some)

    def _forget(self, task: TaskId) -> None:
        if task in self._waiting:
            self._waiting_bytes -= len(self._waiting.pop(task)[1])

    def _write_some(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + _SLICE
        while self._waiting and loop.time() < until:
            self._write_one()
        self._timer = loop.call_later(_SLICE, self._write_some) if self._waiting else None

    def _write_one(self) -> None:
        task, (death, output) = next(iter(self._waiting.items()))
        self._forget(task)
        text = output.decode("utf-8", "backslashreplace")
        data = msgspec.json.encode(LastOutput(death.generation, death.ended_ms, text))
        path = output_file(self._data_dir, task)
        draft = path.with_suffix(".new")
        try:
            draft.write_bytes(data)
            draft.replace(path)
        except OSError:
            self.lost += 1
            with contextlib.suppress(OSError):
                os.unlink(draft)

    def write(self) -> None:
        """Write what waits, however long that takes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            self._write_one()
