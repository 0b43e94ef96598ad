"""Asks a source for its next records: not too often, and again after a failure."""

import random
import time
from collections.abc import Sequence
from typing import Final

from engine.api.errors import DataError, RetriableError
from engine.api.record import Offset, Partition, SourceBatch, SourceRecord
from engine.api.task import SourceTask
from engine.model.error_policy import Stage
from engine.model.retry import Retries
from engine.task.task_life import TaskLife
from engine.task.tolerance import RetryWithToleranceOperator

_SHORTEST_IDLE: Final = 0.001
_LONGEST_IDLE: Final = 0.1
_OWN_WAIT_NS: Final = 5_000_000
_SAME_ERRORS_MOST: Final = 10


class Poller:
    """Calls ``poll()``.

    Args:
        life: of the task.
        task: the one that is asked.
        operator: decides about records that the task cannot read.

    Attributes:
        idle: seconds to wait before the next poll when this one brought nothing.
    """

    def __init__(
        self, life: TaskLife, task: SourceTask, operator: RetryWithToleranceOperator
    ) -> None:
        self._life = life
        self._slot = life.runtime.slot
        self._task = task
        self._operator = operator
        self._retries: Retries | None = None
        self._same_error = ("", 0)
        self._place: tuple[Partition | None, Offset] | None = None
        self.idle = 0.0

    def poll(self) -> Sequence[SourceBatch]:
        """What the task has.

        Raises:
            RetriableError: it has asked for too many retries.
            ToleranceExceededError: a record cannot be read and that is not allowed for.
        """
        slot = self._slot
        began = time.monotonic_ns()
        slot.enter("poll", began)
        try:
            polled = self._task.poll()
        except RetriableError as error:
            self._put_off(error)
            return ()
        except DataError as error:
            self._skip(error)
            return ()
        took = time.monotonic_ns() - began
        if self._retries is not None:
            self._retries = None
            self._life.conditions.say("poll", None)
        if not polled:
            return self._without_records(polled, took)
        self.idle = 0.0
        self._same_error, self._place = ("", 0), None
        slot.add("batches", 1)
        slot.raise_to("batch_records_max", len(polled))
        slot.add("batch_ns", took)
        slot.raise_to("batch_ns_max", took)
        return [polled] if isinstance(polled, SourceBatch) else SourceBatch.of(polled)

    def _without_records(
        self, polled: SourceBatch | Sequence[SourceRecord] | None, took: int
    ) -> Sequence[SourceBatch]:
        """Nothing came; yet a source that filters for itself may be further on."""
        if isinstance(polled, SourceBatch) and polled.source_offset is not None:
            place = (polled.source_partition, polled.source_offset)
            if place != self._place:
                self._place = place
                self.idle = 0.0
                return (polled,)
        # a task that waits itself is asked again at once, one that does not must not spin
        waits = took > _OWN_WAIT_NS
        self.idle = 0.0 if waits else min(max(_SHORTEST_IDLE, self.idle * 2), _LONGEST_IDLE)
        return ()

    def _put_off(self, error: RetriableError) -> None:
        """Say when to ask again; raises when that was often enough."""
        now = time.monotonic()
        self._slot.add("record_failures", 1)
        self._retries = self._retries or Retries(self._operator.policy.task_limits, now)
        delay = self._retries.next_delay(now, random.random())  # noqa: S311 (spreads waits)
        if delay is None:
            raise error
        self._slot.add("retries", 1)
        self._life.log.warning("poll failed and is tried again", error=str(error))
        self._life.conditions.say("poll", f"poll failed and is tried again: {error}")
        self.idle = delay if error.retry_after is None else error.retry_after

    def _skip(self, error: DataError) -> None:
        """Give a record up that cannot be read; raises when the task does not get past it."""
        text, times = self._same_error
        times = times + 1 if text == str(error) else 1
        self._same_error = (str(error), times)
        if times > _SAME_ERRORS_MOST:
            raise error
        self._operator.fail(Stage.TASK_POLL, type(self._task), error, None)
        self.idle = 0.0 if times == 1 else _LONGEST_IDLE
