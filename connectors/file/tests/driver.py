"""Drives one task as the engine would, in this process and without Kafka."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from connectors.file import FileStreamSinkTask, FileStreamSourceTask
from engine.api import (
    Column,
    ErrantRecordReporter,
    Offset,
    Partition,
    Position,
    SinkBatch,
    TopicPartition,
)


@dataclass
class Context:
    """Remembers what a task says."""

    conditions: list[str | None] = field(default_factory=list)
    busy_seconds: list[float] = field(default_factory=list)

    def configs(self) -> Mapping[str, str]:
        return {}

    def busy(self, seconds: float) -> None:
        self.busy_seconds.append(seconds)

    def condition(self, text: str | None) -> None:
        self.conditions.append(text)


@dataclass
class SourceContext(Context):
    """What a source may ask besides."""

    lags: list[int] = field(default_factory=list)
    idle_left: int = 1_000_000
    stored: Offset | None = None

    def lag(self, amount: int) -> None:
        """A task says so with every batch and whenever it has nothing to do."""
        self.lags.append(amount)
        self.idle_left -= 1

    def is_stopping(self) -> bool:
        """Stops once it was idle so often, so that no test waits a whole second for nothing."""
        return self.idle_left <= 0

    def offset_storage_reader(self) -> "SourceContext":
        return self

    def offset(self, partition: Partition) -> Offset | None:
        del partition
        return self.stored

    def offsets(self, partitions: Iterable[Partition]) -> list[Offset | None]:
        return [self.stored for _ in partitions]


class SinkContext(Context):
    """What a sink may ask besides."""

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset()

    def timeout(self, seconds: float) -> None:
        pass

    def pause(self, *partitions: TopicPartition) -> None:
        pass

    def resume(self, *partitions: TopicPartition) -> None:
        pass

    def request_commit(self) -> None:
        pass

    def errant_record_reporter(self) -> ErrantRecordReporter | None:
        return None

    def offset(self, offsets: Mapping[TopicPartition, int]) -> None:
        pass


class SourceDriver:
    """A running source task and everything it gave."""

    def __init__(self, config: Mapping[str, str], stored: Offset | None = None) -> None:
        self.context = SourceContext(stored=stored)
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
            self.task._wait = 0.0
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

    def __init__(self, config: Mapping[str, str]) -> None:
        self.context = SinkContext()
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
