"""From ``start()`` to ``stop()``: what the loops of sources and sinks do in the same way."""

import sys
import time
from collections.abc import Callable
from typing import Any

from engine.api.task import SinkTask, SourceTask
from engine.kafka.client_config import ClientConfig
from engine.model.task_id import TaskId
from engine.task.conditions import Conditions
from engine.task.runtime import TaskRuntime
from engine.task.task_plugins import TaskPlugins


def _nothing() -> None:
    """For whoever has nothing to add."""


class TaskLife:
    """Starts a task when it is not paused, keeps its end in order, and waits in between.

    Args:
        runtime: the task's process.
        task: whose life it is.
        plugins: closed with the task.
        logger: a structlog logger.

    Attributes:
        id: of the task.
        conditions: where the status hears of waits and troubles.
    """

    def __init__(
        self,
        runtime: TaskRuntime,
        task: SourceTask | SinkTask,
        plugins: TaskPlugins,
        logger: Any,
    ) -> None:
        self.runtime = runtime
        self.log = logger
        self.id = TaskId(runtime.assignment.connector, runtime.assignment.task)
        self.conditions = Conditions(runtime)
        self._task = task
        self._plugins = plugins

    def start(self, then: Callable[[], None] = _nothing) -> bool:
        """Start the task, after a pause that there was from the beginning; False when it ends so.

        Args:
            then: done between ``start()`` and the word that the task is RUNNING.
        """
        runtime = self.runtime
        if not runtime.is_paused:
            self._task.start(runtime.task_config)
            then()
            runtime.ready()
            return True
        runtime.slot.stage = "paused"
        runtime.ready()
        self.wait_while_paused()
        if runtime.is_stopping:
            return False
        runtime.slot.enter("start", time.monotonic_ns())
        self._task.start(runtime.task_config)
        then()
        runtime.paused_changed(paused=False)
        return True

    def run(self, loop: Callable[[], None], last: Callable[[], None]) -> None:
        """The loop, and what comes last, which a failure does not prevent."""
        try:
            loop()
        except BaseException as failure:
            self.runtime.failing()
            if isinstance(failure, Exception):  # it tells itself, no record has ended us
                self.runtime.slot["work_records"] = 0
            try:
                last()
            except Exception as error:  # noqa: BLE001 (the first failure is the one to tell)
                self.log.error("the end after a failure failed", error=str(error))
            raise
        last()

    def end(self, *closers: Callable[[], None]) -> None:
        """Stop the task, close its plugins and call these: each, whatever became of the others.

        A failure may be on its way out, which stays the one to tell. Else the first of these
        closers that fails ends the task; plugins have no say in how it ends.
        """
        is_failing = sys.exc_info()[0] is not None
        if is_failing:
            self.runtime.failing()
        self.runtime.slot.enter("stop", time.monotonic_ns())
        self._failure_of(self._task.stop)
        self._failure_of(self._plugins.close)
        failures = [each for each in map(self._failure_of, closers) if each is not None]
        if failures and not is_failing:
            raise failures[0]

    def _failure_of(self, close: Callable[[], None]) -> Exception | None:
        try:
            close()
        except Exception as error:
            self.log.error("stop failed", error=str(error), exc_info=error)
            return error
        return None

    def wait_while_paused(self, observe: Callable[[], None] = _nothing) -> None:
        """Wait for the operator; ``observe`` is called now and then."""
        while self.runtime.is_paused and not self.runtime.is_stopping:
            self.runtime.wait(1.0)
            observe()
            if self.runtime.is_recycling:
                self.runtime.is_stopping = True

    def wait(self, seconds: float) -> bool:
        """Wait for another attempt; False when the task is to end."""
        runtime = self.runtime
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not runtime.is_stopping:
            runtime.wait(left)
        return not runtime.is_stopping

    def keep_on(self) -> bool:
        """Called while somebody else keeps us waiting; False when the task is to end."""
        self.runtime.beat()
        self.runtime.take_orders()
        return not self.runtime.is_stopping

    def warn_of_ignored(self, client: ClientConfig) -> None:
        """Say which keys of a client have no effect."""
        for key, reason in client.ignored.items():
            self.log.warning("configuration key is ignored", key=key, reason=reason)
