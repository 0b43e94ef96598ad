"""Drives one task as the engine would, in this process and without Kafka."""

import time
from collections.abc import Mapping, Sequence

from connectors.file import FileStreamSinkTask, FileStreamSourceTask
from engine.api import Column, Offset, Position, SinkBatch, TopicPartition
from engine.testing import SinkTestContext, SourceTestContext


class SourceDriver:
    """A running source task and everything it gave."""

    def __init__(self, config: Mapping[str, str], stored: Offset | None = None) -> None:
        self.context = SourceTestContext(stored=stored)
        self.task = FileStreamSourceTask()
        self.task.initialize(self.context)
        self.task.start({"topic": "t", **config})
        self.lines: list[bytes] = []
        self.offset: Offset | None = stored
        self.batches: list[int] = []

    def poll(self, patience: int = 2) -> list[bytes]:
        """One poll that gives up when it has found nothing so many times."""
        self.context.idle_left = patience
        if patience < 10:
            self.task._wait, self.task._quiet_since = 0.0, time.monotonic()
        batch = self.task.poll()
        if batch is None:
            return []
        lines = list(batch.values.data)
        self.lines += lines
        self.batches.append(len(lines))
        self.offset = batch.source_offset
        return lines

    def drain(self) -> list[bytes]:
        """Everything that is there now."""
        found: list[bytes] = []
        while lines := self.poll():
            found += lines
        return found

    @property
    def condition(self) -> str | None:
        return self.context.conditions[-1] if self.context.conditions else None

    def stop(self) -> None:
        self.task.stop()

    def restarted(self, config: Mapping[str, str]) -> "SourceDriver":
        """A successor that goes on from the last offset."""
        self.stop()
        return SourceDriver(config, self.offset)


class SinkDriver:
    """A running sink task."""

    def __init__(self, config: Mapping[str, str], output_fd: int = 1) -> None:
        self.context = SinkTestContext(output_fd=output_fd)
        self.task = FileStreamSinkTask()
        self.task.initialize(self.context)
        self.task.start(config)

    def put(self, values: Sequence[object] | Column, *, utf8: bool = False) -> None:
        column = values if isinstance(values, Column) else Column(values, utf8=utf8)
        positions = [Position("t", 0, i) for i in range(len(column))]
        self.task.put(SinkBatch(column, positions=positions))

    def flush(self) -> None:
        self.task.flush({TopicPartition("t", 0): 1})

    def stop(self) -> None:
        self.task.stop()
