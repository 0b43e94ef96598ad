"""What a source task may ask of the engine."""

from collections.abc import Mapping

from engine.api.offset import OffsetStorageReader
from engine.task.conditions import Conditions
from engine.task.runtime import TaskRuntime


class SourceContext:
    """The context of a source task (upstream: ``WorkerSourceTaskContext``)."""

    def __init__(
        self, runtime: TaskRuntime, conditions: Conditions, reader: OffsetStorageReader
    ) -> None:
        self._runtime = runtime
        self._conditions = conditions
        self._reader = reader

    def configs(self) -> Mapping[str, str]:
        """The task's configuration."""
        return self._runtime.task_config

    def busy(self, seconds: float) -> None:
        """Announce silence."""
        self._runtime.busy(seconds)

    def condition(self, text: str | None) -> None:
        """Say in the status what the task waits for."""
        self._conditions.say("task", text)

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
