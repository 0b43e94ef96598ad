"""Commits of a source's offsets, behind a barrier: nothing is sent until all that was is in Kafka.

Then the offset of the last batch holds for all of them. No record needs a callback of its own, and
records that were filtered out move the offset on like any other.
"""

import time
from collections.abc import Callable
from typing import Final

from engine.api.record import Offset, Partition, SourceBatch
from engine.api.task import SourceTask
from engine.kafka.producer import TaskProducer
from engine.storage.database import StoreError
from engine.storage.offset_store import OffsetStore
from engine.task.committed import Committed
from engine.task.record_errors import RecordErrors
from engine.task.task_life import TaskLife

_FLUSH_SLICE: Final = 0.25


class SourceCommit:
    """Remembers offsets of what was sent and stores them once Kafka has it.

    Args:
        life: of the task.
        task: hears of commits.
        producer: whose queue is to be empty.
        store: where offsets are kept.
        errors: where records are kept that were given up.
        observe: deals with what became of records.
    """

    def __init__(
        self,
        life: TaskLife,
        task: SourceTask,
        producer: TaskProducer,
        store: OffsetStore,
        errors: RecordErrors,
        observe: Callable[[], None],
    ) -> None:
        self._life = life
        self._runtime = life.runtime
        self._slot = life.runtime.slot
        self._task = task
        self._producer = producer
        self._store = store
        self._errors = errors
        self._observe = observe
        self._committed = Committed(self._slot, "after")
        self._pending: dict[str, tuple[Partition, Offset]] = {}

    def track(self, batch: SourceBatch) -> None:
        """Remember the offset behind a batch; it is committed with the next barrier."""
        if batch.source_partition is not None and batch.source_offset is not None:
            name = repr(sorted(batch.source_partition.items()))
            self._pending[name] = (batch.source_partition, batch.source_offset)

    def commit(self, patience: float, *, is_last: bool = False) -> bool:
        """Wait until everything sent is in Kafka, and commit the offsets behind it."""
        slot, began = self._slot, time.monotonic_ns()
        slot.enter("flush", began)
        deadline = time.monotonic() + patience
        if not self._is_drained(patience, is_last=is_last):
            slot.add("commit_failures", 1)
            self._life.log.warning(
                "records wait for Kafka; offsets are committed later",
                records=self._producer.queued,
            )
            return False
        if not self._errors.are_kept(max(0.0, deadline - time.monotonic())):
            slot.add("commit_failures", 1)
            self._life.log.warning("dead letters are not kept yet; offsets are committed later")
            return False
        slot.enter("commit", time.monotonic_ns())
        if not self._is_stored(began):
            return False
        self._tell_task()
        return True

    def commit_if_drained(self) -> None:
        """Commit without waiting, if there is something to commit and nothing on its way."""
        if self._producer.queued == 0 and self._pending and self._errors.are_kept(0.0):
            self._is_stored(time.monotonic_ns())

    def _tell_task(self) -> None:
        try:
            self._task.commit()
        except Exception as error:  # the offsets are stored, and that is what counts
            self._life.log.error("the task's commit failed", error=str(error), exc_info=error)

    def _is_drained(self, patience: float, *, is_last: bool) -> bool:
        deadline = time.monotonic() + patience
        while (left := deadline - time.monotonic()) > 0 or not self._producer.queued:
            remaining = self._producer.flush(max(0.0, min(_FLUSH_SLICE, left)))
            self._runtime.beat()
            self._observe()
            if not remaining:
                return True
            self._runtime.take_orders()
            if self._runtime.is_stopping and not is_last:
                return False  # the last commit waits as long as there is time
        return False

    def _is_stored(self, began: int) -> bool:
        """Store what is pending; offsets that cannot be stored now wait for the next commit.

        Args:
            began: when this commit did, in nanoseconds; one that stores nothing is not timed.
        """
        slot = self._slot
        if not self._pending:
            slot.add("commit_skips", 1)
            return True
        try:
            self._store.write(
                self._pending.values(), task=self._life.id.task, generation=self._runtime.generation
            )
        except StoreError as error:
            slot.add("commit_failures", 1)
            self._life.log.error("offsets cannot be stored", error=str(error))
            self._life.conditions.say("offsets", f"offsets cannot be stored: {error}")
            return False
        self._life.conditions.say("offsets", None)
        self._committed.add(self._pending.values())
        self._pending.clear()
        now = time.monotonic_ns()
        slot.add("commits", 1)
        slot.add("commit_ns", now - began)
        slot.raise_to("commit_ns_max", now - began)
        slot["last_commit_ns"] = now
        return True
