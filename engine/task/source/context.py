"""What a source task may ask of the engine."""

import time
from collections.abc import Iterable, Mapping

from engine.api.offset import OffsetStorageReader
from engine.api.record import Offset, Partition
from engine.task.committed import Committed
from engine.task.conditions import Conditions
from engine.task.runtime import TaskRuntime


class SourceContext:
    """The context of a source task (upstream: ``WorkerSourceTaskContext``)."""

    def __init__(
        self, runtime: TaskRuntime, conditions: Conditions, reader: OffsetStorageReader
    ) -> None:
        self._runtime = runtime
        self._conditions = conditions
        self._reader = _ToldReader(reader, Committed(runtime.slot, "before"))

    def configs(self) -> Mapping[str, str]:
        """The task's configuration."""
        return self._runtime.task_config

    def busy(self, seconds: float) -> None:
        """Announce silence."""
        self._runtime.busy(seconds)

    def condition(self, text: str | None) -> None:
        """Say in the status what the task waits for."""
        self._conditions.say("task", text)

    def standard_input(self) -> int:
        """The service's standard input."""
        return self._runtime.stream("standard input")

    def offset_storage_reader(self) -> OffsetStorageReader:
        """Reads committed offsets."""
        return self._reader

    def lag(self, amount: int) -> None:
        """Say how much is left to read."""
        self._runtime.slot["lag"] = amount

    def is_stopping(self) -> bool:
        """Whether the task is to end; hears the supervisor while a poll waits."""
        self._runtime.take_orders()
        return self._runtime.is_stopping

    def wait(self, seconds: float) -> bool:
        """Wait inside ``poll``; False as soon as it is to come back."""
        runtime, deadline = self._runtime, time.monotonic() + seconds
        while not (runtime.is_stopping or runtime.is_paused):
            left = deadline - time.monotonic()
            if left <= 0:
                return True
            runtime.wait(left)
        return False


class _ToldReader:
    """Reads offsets, and tells where the task goes on from."""

    def __init__(self, reader: OffsetStorageReader, committed: Committed) -> None:
        self._reader = reader
        self._committed = committed

    def offset(self, partition: Partition) -> Offset | None:
        """See the protocol."""
        return self.offsets([partition])[0]

    def offsets(self, partitions: Iterable[Partition]) -> list[Offset | None]:
        """See the protocol."""
        asked = list(partitions)
        found = self._reader.offsets(asked)
        self._committed.add(
            (partition, offset)
            for partition, offset in zip(asked, found, strict=True)
            if offset is not None
        )
        return found
