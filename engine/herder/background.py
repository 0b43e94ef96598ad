"""Work that nobody waits for: kept alive until it is done, and its failures logged."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from engine.wire.log_sequence import get_logger

T = TypeVar("T")


class Background:
    """Tasks of the running loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def run(self, work: Coroutine[Any, Any, Any]) -> None:
        """Begin."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for the work; whoever waits may be cancelled, the work goes on."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            get_logger(__name__).error("background work failed", exc_info=error)
