"""Gives batches to a sink task: again when it asks for that, in pieces when it fails.

After a failure that ``errors.tolerance`` allows for, the batch is put in halves until the bad
records stand alone; only those are given up. Good records of a failed piece are put once more.
"""

import random
import time
from typing import Final

from engine.api.errors import (
    AuthenticationError,
    ConfigError,
    IllegalWorkerStateError,
    RetriableError,
    ToleranceExceededError,
)  # fmt: skip
from engine.api.record import SinkBatch, TopicPartition
from engine.api.task import SinkTask
from engine.model.error_policy import Stage
from engine.model.retry import Retries
from engine.task.sink.batch import size_of, span_of
from engine.task.sink.context import SinkContext
from engine.task.sink.put_queue import PutQueue
from engine.task.task_life import TaskLife
from engine.task.tolerance import RetryWithToleranceOperator

_NOT_A_RECORDS: Final = (
    ConfigError,
    AuthenticationError,
    IllegalWorkerStateError,
    ToleranceExceededError,
)


class SinkPut:
    """Calls ``put()``.

    Args:
        life: of the task.
        task: the one that is called.
        operator: decides about records that fail.
        context: says how long the task wants to wait, and which records it has reported.

    Attributes:
        next_at: when :meth:`go_on` is due, in seconds of the monotonic clock.
    """

    def __init__(
        self,
        life: TaskLife,
        task: SinkTask,
        operator: RetryWithToleranceOperator,
        context: SinkContext,
    ) -> None:
        self._life = life
        self._slot = life.runtime.slot
        self._task = task
        self._operator = operator
        self._context = context
        self._left = PutQueue()
        self._retries: Retries | None = None
        self.next_at = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether something of the last batch is still to be put."""
        return bool(self._left)

    def put(self, batch: SinkBatch, size: int) -> None:
        """Put a batch of so many bytes; what cannot be put now is kept for :meth:`go_on`.

        Raises:
            ToleranceExceededError: a record failed and that is not allowed for.
        """
        self._context.reported.clear()
        self._try(batch, size)

    def go_on(self) -> None:
        """Put the next piece, if it is time.

        Raises:
            ToleranceExceededError: a record failed and that is not allowed for.
        """
        if time.monotonic() < self.next_at:
            return
        if self._retries is not None:
            self._slot.add("retries", 1)
        self._try(self._left.first, None)

    def forget(self, partitions: frozenset[TopicPartition]) -> None:
        """Leave the records of these partitions to somebody else."""
        self._left.forget(partitions)
        if not self._left:
            self._settled()

    def drop(self) -> None:
        """Leave everything: it is read again."""
        self._left.clear()
        self._settled()

    def _try(self, batch: SinkBatch, size: int | None) -> None:
        """Put a batch, or the first piece of what is left of one."""
        slot = self._slot
        if size is None:
            slot.take(span_of(batch))
        began = time.monotonic_ns()
        slot.enter("put", began)
        try:
            self._task.put(batch)
            self._context.raise_reported()
        except RetriableError as error:
            self._put_off(batch, error)
            return
        except Exception as error:  # noqa: BLE001 (whether it is a record's fault is judged here)
            self._split(batch, error)
            return
        took = time.monotonic_ns() - began
        if self._left:
            self._left.done()
        self._settled()
        if len(batch):
            self._operator.passed()
            slot.add("records_out", len(batch))
            slot.add("batch_ns", took)
            slot.raise_to("batch_ns_max", took)
            slot.add("bytes_out", size_of(batch) if size is None else size)
            self._life.runtime.progressed()
            if not slot["first_ack_ns"]:
                slot["first_ack_ns"] = time.monotonic_ns()

    def _settled(self) -> None:
        if self._retries is not None:
            self._retries = None
            self._life.conditions.say("put", None)

    def _put_off(self, batch: SinkBatch, error: RetriableError) -> None:
        """Keep what is left for later; a task that asks too often has failed."""
        now = time.monotonic()
        if self._retries is None:
            self._retries = Retries(self._operator.policy.task_limits, now)
            self._life.log.warning("put failed and is tried again", error=str(error))
        delay = self._retries.next_delay(now, random.random())  # noqa: S311 (spreads waits)
        if delay is None:
            self._split(batch, error)
            return
        self._keep(batch)
        self._slot.add("record_failures", 1)
        wanted = error.retry_after if self._context.retry_in is None else self._context.retry_in
        self._context.retry_in = None
        self.next_at = now + (delay if wanted is None else wanted)
        self._life.conditions.say("put", f"put failed and is tried again: {error}")

    def _split(self, batch: SinkBatch, error: Exception) -> None:
        """Come nearer to the record whose fault this is, or give it up."""
        attempts = 1 if self._retries is None else self._retries.count + 1
        if not self._operator.policy.is_tolerant or not len(batch) or not _may_be_a_records(error):
            raise error
        self.next_at = 0.0
        self._settled()
        self._keep(batch)
        if len(batch) > 1:
            self._slot.add("record_failures", 1)
            self._life.log.debug("put failed; its halves are tried", error=str(error))
            self._left.split()
            return
        [record] = batch.records()
        self._operator.fail(Stage.TASK_PUT, type(self._task), error, record, attempts)
        self._left.done()

    def _keep(self, batch: SinkBatch) -> None:
        if not self._left:
            self._left.begin(batch)


def _may_be_a_records(error: Exception) -> bool:
    """Whether other records could do better: not without a disk or a network, for example."""
    is_systems = isinstance(error, OSError) and type(error).__module__ == "builtins"
    return not is_systems and not isinstance(error, _NOT_A_RECORDS)
