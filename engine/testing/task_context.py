"""Contexts for tasks under test: they remember what a task says and answer what a test wants."""

import os
import select
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from engine.api.record import Offset, Partition, TopicPartition
from engine.api.task import ErrantRecordReporter

_LONGEST_WAIT: Final = 0.1


@dataclass
class _TestContext:
    """What both kinds of context share.

    Attributes:
        config: what ``configs`` answers.
        conditions: everything that the task said of its condition, in order.
        busy_seconds: every silence that it announced.
    """

    config: Mapping[str, str] = field(default_factory=dict)
    conditions: list[str | None] = field(default_factory=list)
    busy_seconds: list[float] = field(default_factory=list)

    def configs(self) -> Mapping[str, str]:
        """See :class:`engine.api.TaskContext`."""
        return self.config

    def busy(self, seconds: float) -> None:
        """See :class:`engine.api.TaskContext`."""
        self.busy_seconds.append(seconds)

    def condition(self, text: str | None) -> None:
        """See :class:`engine.api.TaskContext`."""
        self.conditions.append(text)


@dataclass
class SourceTestContext(_TestContext):
    """Drives a source task; give it to ``task.initialize`` and call the task.

    Attributes:
        stored: the committed offset of every source partition.
        lags: every lag that the task told.
        input_fd: standard input, as the task sees it.
        idle_left: after so many lags the task is told to stop, so that a ``poll`` which waits for
            more comes back at once.
    """

    lags: list[int] = field(default_factory=list)
    idle_left: int = 1_000_000
    stored: Offset | None = None
    input_fd: int = 0

    def lag(self, amount: int) -> None:
        """See :class:`engine.api.SourceTaskContext`."""
        self.lags.append(amount)
        self.idle_left -= 1

    def is_stopping(self) -> bool:
        """See :class:`engine.api.SourceTaskContext`."""
        return self.idle_left <= 0

    def wait(self, seconds: float) -> bool:
        """See :class:`engine.api.SourceTaskContext`."""
        select.select((), (), (), min(seconds, _LONGEST_WAIT))
        return not self.is_stopping()

    def standard_input(self) -> int:
        """See :class:`engine.api.SourceTaskContext`."""
        return os.dup(self.input_fd)

    def offset_storage_reader(self) -> "SourceTestContext":
        """See :class:`engine.api.SourceTaskContext`."""
        return self

    def offset(self, partition: Partition) -> Offset | None:
        """See :class:`engine.api.OffsetStorageReader`."""
        del partition
        return self.stored

    def offsets(self, partitions: Iterable[Partition]) -> list[Offset | None]:
        """See :class:`engine.api.OffsetStorageReader`."""
        return [self.offset(each) for each in partitions]


@dataclass
class SinkTestContext(_TestContext):
    """Drives a sink task; give it to ``task.initialize`` and call the task.

    Attributes:
        assigned: what ``assignment`` answers.
        reporter: what ``errant_record_reporter`` answers.
        rewinds: every offset that the task asked to read on from.
        timeouts: every wait that it asked for, in seconds.
        paused: partitions that it paused and did not resume.
        commits_requested: how often it asked for a commit.
        output_fd: standard output, as the task sees it.
    """

    assigned: frozenset[TopicPartition] = frozenset()
    reporter: ErrantRecordReporter | None = None
    rewinds: list[Mapping[TopicPartition, int]] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)
    paused: set[TopicPartition] = field(default_factory=set)
    commits_requested: int = 0
    output_fd: int = 1

    def assignment(self) -> frozenset[TopicPartition]:
        """See :class:`engine.api.SinkTaskContext`."""
        return self.assigned

    def offset(self, offsets: Mapping[TopicPartition, int]) -> None:
        """See :class:`engine.api.SinkTaskContext`."""
        self.rewinds.append(dict(offsets))

    def timeout(self, seconds: float) -> None:
        """See :class:`engine.api.SinkTaskContext`."""
        self.timeouts.append(seconds)

    def pause(self, *partitions: TopicPartition) -> None:
        """See :class:`engine.api.SinkTaskContext`."""
        self.paused.update(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        """See :class:`engine.api.SinkTaskContext`."""
        self.paused.difference_update(partitions)

    def request_commit(self) -> None:
        """See :class:`engine.api.SinkTaskContext`."""
        self.commits_requested += 1

    def standard_output(self) -> int:
        """See :class:`engine.api.SinkTaskContext`."""
        return os.dup(self.output_fd)

    def errant_record_reporter(self) -> ErrantRecordReporter | None:
        """See :class:`engine.api.SinkTaskContext`."""
        return self.reporter
