"""What a sink task may ask of the engine."""

from collections.abc import Mapping
from typing import Protocol

from engine.api.errors import IllegalWorkerStateError, ToleranceExceededError
from engine.api.record import Position, SinkRecord, TopicPartition
from engine.api.task import ErrantRecordReporter
from engine.model.error_policy import Stage
from engine.task.conditions import Conditions
from engine.task.runtime import TaskRuntime
from engine.task.tolerance import RetryWithToleranceOperator


class PartitionSwitch(Protocol):
    """Holds partitions and lets them go; a sink loop's own."""

    def assignment(self) -> frozenset[TopicPartition]:
        """What is assigned now."""

    def hold(self, partitions: frozenset[TopicPartition]) -> None:
        """Fetch nothing from these."""

    def let_go(self, partitions: frozenset[TopicPartition]) -> None:
        """Fetch from these, unless something else holds them."""


class SinkContext:
    """The context of a sink task (upstream: ``WorkerSinkTaskContext``).

    Attributes:
        rewinds: where to read on, by partition; the loop takes them.
        retry_in: seconds before a failed batch is put again, when the task chose.
        held: partitions that the task has paused.
        wants_commit: the task asked for a commit.
        reported: positions of records that the task has reported since the last new batch.
    """

    def __init__(
        self,
        runtime: TaskRuntime,
        conditions: Conditions,
        switch: PartitionSwitch,
        operator: RetryWithToleranceOperator,
        executing: type,
    ) -> None:
        self._runtime = runtime
        self._conditions = conditions
        self._switch = switch
        self._operator = operator
        self._executing = executing
        self._refused: ToleranceExceededError | None = None
        self.rewinds: dict[TopicPartition, int] = {}
        self.retry_in: float | None = None
        self.held: frozenset[TopicPartition] = frozenset()
        self.wants_commit = False
        self.reported: set[Position] = set()

    def configs(self) -> Mapping[str, str]:
        """The task's configuration."""
        return self._runtime.task_config

    def busy(self, seconds: float) -> None:
        """Announce silence."""
        self._runtime.busy(seconds)

    def condition(self, text: str | None) -> None:
        """Say in the status what the task waits for."""
        self._conditions.say("task", text)

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions that this task reads now."""
        return self._switch.assignment()

    def offset(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read on from these offsets."""
        self.rewinds.update(offsets)

    def timeout(self, seconds: float) -> None:
        """Wait so long before a failed batch is put again."""
        self.retry_in = seconds

    def pause(self, *partitions: TopicPartition) -> None:
        """Read nothing from these partitions."""
        wanted = self._assigned(partitions)
        self.held |= wanted
        self._switch.hold(wanted)

    def resume(self, *partitions: TopicPartition) -> None:
        """Read from these partitions again."""
        wanted = self._assigned(partitions)
        self.held -= wanted
        self._switch.let_go(wanted)

    def request_commit(self) -> None:
        """Commit as soon as the current call is over."""
        self.wants_commit = True

    def standard_output(self) -> int:
        """The service's standard output."""
        return self._runtime.stream("standard output")

    def errant_record_reporter(self) -> ErrantRecordReporter | None:
        """Where to report bad records."""
        return self if self._operator.has_reporters else None

    def report(self, record: SinkRecord, error: BaseException) -> None:
        """Report a record; once is enough for all times that its batch is put."""
        position = Position(record.topic, record.partition, record.offset)
        if position in self.reported:
            return
        try:
            self._operator.fail(Stage.TASK_PUT, self._executing, error, record)
        except ToleranceExceededError as refused:
            self._refused = refused
            raise
        self.reported.add(position)

    def raise_reported(self) -> None:
        """Raise what a report has raised: a task that swallowed it must not go on.

        Raises:
            ToleranceExceededError: a reported record is more than is allowed for.
        """
        if self._refused is not None:
            raise self._refused

    def _assigned(self, partitions: tuple[TopicPartition, ...]) -> frozenset[TopicPartition]:
        wanted = frozenset(partitions)
        strange = wanted - self._switch.assignment()
        if strange:
            raise IllegalWorkerStateError(
                f"not assigned to this task: {', '.join(map(str, sorted(strange)))}"
            )
        return wanted
