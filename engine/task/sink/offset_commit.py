"""Commits of a sink's offsets: asks the task what is durable, then the broker to keep it."""

import time
from collections.abc import Callable, Mapping
from typing import Final

from engine.api.record import TopicPartition
from engine.api.task import SinkTask
from engine.kafka.consumer import TaskConsumer
from engine.task.committed import Committed
from engine.task.record_errors import RecordErrors
from engine.task.task_life import TaskLife

_SLICE: Final = 0.1

Offsets = Mapping[TopicPartition, int]


class OffsetCommit:
    """At most one commit is under way; an answer that comes too late counts for nothing.

    Args:
        life: of the task.
        consumer: asks the broker.
        task: says what is durable.
        errors: where records are kept that were given up.
        patience: seconds after which a commit counts as failed.

    Attributes:
        known: what the broker is known to keep.
    """

    def __init__(
        self,
        life: TaskLife,
        consumer: TaskConsumer,
        task: SinkTask,
        errors: RecordErrors,
        patience: float,
    ) -> None:
        self._slot = life.runtime.slot
        self._log = life.log
        self._consumer = consumer
        self._task = task
        self._errors = errors
        self._patience = patience
        self._under_way: Offsets | None = None
        self._began = 0
        self._late = 0
        self._before = Committed(self._slot, "before")
        self._committed = Committed(self._slot, "after")
        self.known: dict[TopicPartition, int] = {}

    def learn(self, offsets: Offsets) -> None:
        """The broker keeps these, which another process has committed."""
        self.known.update(offsets)
        self._before.add((str(each), offset) for each, offset in offsets.items())

    @property
    def is_under_way(self) -> bool:
        """Whether the broker still owes an answer."""
        return self._under_way is not None

    def start(self, offsets: Offsets) -> bool:
        """Commit without waiting for the broker; False when the task could not make it durable."""
        if self._under_way is not None:
            self._slot.add("commit_skips", 1)
            return True
        if not offsets:  # nothing was read yet: the task has nothing to flush, as upstream
            return True
        self._began = time.monotonic_ns()
        try:
            wanted = self._durable(offsets)
        except Exception as error:  # noqa: BLE001 (the records are brought again instead)
            self._slot.add("commit_failures", 1)
            self._log.error(
                "flush failed; records since the last commit are read again",
                error=str(error),
                exc_info=error,
            )
            return False
        if not wanted:
            self._slot.add("commit_skips", 1)
            return True
        if not self._are_letters_kept():
            return True
        self._slot.enter("commit", time.monotonic_ns())
        self._under_way = wanted
        self._consumer.commit(wanted)
        return True

    def observe(self) -> None:
        """Take the broker's answers, and stop waiting for one that does not come."""
        answers, self._consumer.committed = self._consumer.committed, []
        for answer in answers:
            if self._late:
                self._late -= 1
                self._slot.add("commit_skips", 1)
            elif self._under_way is not None:
                self._answered(self._under_way, answer)
                self._under_way = None
        waited = time.monotonic_ns() - self._began
        if self._under_way is not None and waited > self._patience * 1e9:
            self._under_way = None
            self._late += 1
            self._slot.add("commit_failures", 1)
            self._log.warning("commit of offsets timed out")

    def revoke(self, offsets: Offsets) -> None:
        """Commit inside a rebalance, before partitions go elsewhere."""
        self._began = time.monotonic_ns()
        try:
            wanted = self._durable(offsets)
        except Exception as error:  # noqa: BLE001 (the new owner reads the records again)
            self._slot.add("commit_failures", 1)
            self._log.warning("flush failed before partitions went", error=str(error))
            return
        if wanted and self._are_letters_kept():
            self._answered(wanted, self._consumer.commit_and_wait(wanted))

    def finish(self, offsets: Offsets, patience: float, beat: Callable[[], None]) -> None:
        """The last commit. Its partitions are paused, so that waiting fetches nothing."""
        deadline = time.monotonic() + patience
        self._await(deadline, beat)
        if not self.start(offsets) or self._consumer.link.is_down:
            return
        self._await(deadline, beat)
        if self._under_way is not None:
            self._slot.add("commit_failures", 1)
            self._log.warning("the last commit of offsets timed out")

    def _are_letters_kept(self) -> bool:
        """Whether what was given up is durable elsewhere; else nothing may be committed."""
        is_kept = self._errors.are_kept(self._patience)
        if not is_kept:
            self._slot.add("commit_failures", 1)
            self._log.warning("dead letters are not kept yet; offsets are committed later")
        return is_kept

    def _await(self, deadline: float, beat: Callable[[], None]) -> None:
        while self._under_way is not None and time.monotonic() < deadline:
            beat()
            self._consumer.serve(_SLICE)
            self.observe()

    def _durable(self, offsets: Offsets) -> dict[TopicPartition, int]:
        """What the task lets us commit: of these offsets, none beyond them, none anew."""
        self._slot.enter("flush", time.monotonic_ns())
        wanted = self._task.pre_commit(dict(offsets))
        return {
            each: offset
            for each, offset in wanted.items()
            if each in offsets and offset <= offsets[each] and self.known.get(each) != offset
        }

    def _answered(self, offsets: Offsets, problem: str | None) -> None:
        slot = self._slot
        if problem is not None:
            slot.add("commit_failures", 1)
            self._log.error("commit of offsets failed", error=problem)
            return
        took = time.monotonic_ns() - self._began
        self.known.update(offsets)
        self._committed.add((str(each), offset) for each, offset in offsets.items())
        slot.add("commits", 1)
        slot.add("commit_ns", took)
        slot.raise_to("commit_ns_max", took)
        slot["last_commit_ns"] = time.monotonic_ns()
