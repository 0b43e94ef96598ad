"""A source without records whose tasks leave marks in a file: one 8-byte integer for each task.

``marks.file`` is where; a mark is the CLOCK_MONOTONIC time in nanoseconds at which the task was in
its handler of SIGTERM. With ``flood.bytes.per.second`` the task prints so much, and its mark is the
number of bytes printed. With ``deaf.every=10`` every tenth task is stuck and ignores SIGTERM.
"""

import mmap
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.api import (
    NO_KEYS,
    ConfigKeys,
    SourceBatch,
    SourceConnector,
    SourceRecord,
    SourceTask,
)

_TURN = 0.01
_TURNS = 50
"""Of one poll: between two of them, the engine waits for a task that gives it nothing."""
_LINE = (
    b"a line as long as lines of a log are, with a number, a name and some further words in it\n"
)


class WatchedConnector(SourceConnector):
    """As many tasks as it may have."""

    version = "1"

    def config(self) -> ConfigKeys:
        return NO_KEYS

    def start(self, config: Mapping[str, str]) -> None:
        self._given = dict(config)

    def task_class(self) -> type[SourceTask]:
        return WatchedTask

    def task_configs(self, max_tasks: int) -> Sequence[Mapping[str, str]]:
        return [{**self._given, "number": str(number)} for number in range(max_tasks)]


class WatchedTask(SourceTask):
    """Waits, or floods its output."""

    def start(self, config: Mapping[str, str]) -> None:
        self._mark = int(config["number"])
        with Path(config["marks.file"]).open("r+b") as file:
            self._marks = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")
        self._block = int(float(config.get("flood.bytes.per.second", "0")) * _TURN)
        self._due = time.monotonic()
        every = int(config.get("deaf.every", "0"))
        self._is_deaf = every > 0 and self._mark % every == 0
        if self._is_deaf:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        elif not self._block:
            self._mark_termination()

    def _mark_termination(self) -> None:
        handle: Any = signal.getsignal(signal.SIGTERM)

        def on_terminate(number: int, frame: object) -> None:
            self._marks[self._mark] = time.monotonic_ns()
            handle(number, frame)

        signal.signal(signal.SIGTERM, on_terminate)

    def poll(self) -> SourceBatch | Sequence[SourceRecord] | None:
        if not self._block:
            threading.Event().wait(None if self._is_deaf else 0.5)
            return None
        for _ in range(_TURNS):
            self._print_block()
        return None

    def _print_block(self) -> None:
        written, block = 0, _LINE * (self._block // len(_LINE))
        while written < len(block):
            written += os.write(1, block[written:])
        self._marks[self._mark] += written
        self._due = max(self._due + _TURN, time.monotonic() - 10 * _TURN)
        threading.Event().wait(max(0.0, self._due - time.monotonic()))

    def stop(self) -> None:
        """Nothing is held."""
