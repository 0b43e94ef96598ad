"""Tasks: the code that moves data, each in an operating-system process of its own.

Everything here is called by one thread, in the order that each class describes. A call must come
back within the heartbeat timeout, else the process is taken for stuck and killed; one that is
bound to take longer says so first with ``context.busy(seconds)``.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from engine.api.offset import OffsetStorageReader
from engine.api.record import SinkBatch, SinkRecord, SourceBatch, SourceRecord, TopicPartition


class TaskContext(Protocol):
    """What every task may ask of the engine."""

    def configs(self) -> Mapping[str, str]:
        """The task's configuration with config providers resolved anew."""

    def busy(self, seconds: float) -> None:
        """Announce that the current call will not come back for so long.

        The deadline of ``start`` and that of ``stop`` wait as well, up to the worker's maxima.
        """

    def condition(self, text: str | None) -> None:
        """Say in the status what the task waits for or suffers from; None when that is over.

        The task stays RUNNING: ``file /var/log/x.log does not exist`` is a condition.
        """


class SourceTaskContext(TaskContext, Protocol):
    """What a source task may ask of the engine (upstream: ``SourceTaskContext``)."""

    def offset_storage_reader(self) -> OffsetStorageReader:
        """Reads the offsets that were committed for this connector."""

    def lag(self, amount: int) -> None:
        """Say how much is left to read, in the source's own unit (bytes, rows, files)."""

    def standard_input(self) -> int:
        """A descriptor of the service's standard input, non-blocking; the task closes it.

        A task's own standard input is empty. Called in ``start``.
        """

    def is_stopping(self) -> bool:
        """Whether the task is to end; a ``poll`` that works for long asks this now and then."""

    def wait(self, seconds: float) -> bool:
        """Wait inside ``poll``; False as soon as it is to come back: for an end, or a pause."""


class ErrantRecordReporter(Protocol):
    """Takes records that a sink cannot write (upstream: ``ErrantRecordReporter``, KIP-610)."""

    def report(self, record: SinkRecord, error: BaseException) -> None:
        """Report a record.

        Raises:
            ToleranceExceededError: ``errors.tolerance`` does not allow for it; let it pass.
        """


class SinkTaskContext(TaskContext, Protocol):
    """What a sink task may ask of the engine (upstream: ``SinkTaskContext``)."""

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions that this task reads now."""

    def offset(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read on from these offsets; takes effect at the next poll."""

    def timeout(self, seconds: float) -> None:
        """Wait so long before a batch that failed with RetriableError is put again."""

    def pause(self, *partitions: TopicPartition) -> None:
        """Read nothing from these partitions until :meth:`resume`."""

    def resume(self, *partitions: TopicPartition) -> None:
        """Read from these partitions again."""

    def request_commit(self) -> None:
        """Commit offsets as soon as the current call is over."""

    def standard_output(self) -> int:
        """A descriptor of the service's standard output, non-blocking; the task closes it.

        What a task prints becomes its log, which has limits; this does not. The service's log goes
        the same way, so whole lines of at most ``select.PIPE_BUF`` bytes are to be written at once,
        and longer ones under ``flock``. Called in ``start``.
        """

    def errant_record_reporter(self) -> ErrantRecordReporter | None:
        """Where to report bad records; None when errors are neither kept nor logged."""


class SourceTask(ABC):
    """Reads (upstream: ``SourceTask``).

    Life: ``initialize`` → ``start(config)`` → ``poll``* with ``commit``s between → ``stop``.
    """

    context: SourceTaskContext

    def initialize(self, context: SourceTaskContext) -> None:
        """Take the context; called first."""
        self.context = context

    @abstractmethod
    def start(self, config: Mapping[str, str]) -> None:
        """Open what is read. Raise ConfigError for what can never work, RetriableError else."""

    @abstractmethod
    def poll(self) -> SourceBatch | Sequence[SourceRecord] | None:
        """The next records; nothing when there are none now.

        A batch without records moves its offset on: for a source that filters for itself. May wait,
        a second at most. A RetriableError is logged and the call made again.
        """

    def commit(self) -> None:
        """Everything returned so far is in Kafka and its offsets are stored."""

    def commit_record(self, record: SourceRecord, metadata: Any | None) -> None:
        """One record is in Kafka, or was dropped (``metadata`` is None).

        Overriding this costs a Python call a record; override :meth:`commit` where that will do.
        """

    @abstractmethod
    def stop(self) -> None:
        """Close what ``start`` opened; the last call, also after a failure."""


class SinkTask(ABC):
    """Writes (upstream: ``SinkTask``).

    Life: ``initialize`` → ``start(config)`` → ``open(partitions)`` → [``put``, ``pre_commit``]* →
    ``close(partitions)`` → ``stop``.
    """

    context: SinkTaskContext

    def initialize(self, context: SinkTaskContext) -> None:
        """Take the context; called first."""
        self.context = context

    @abstractmethod
    def start(self, config: Mapping[str, str]) -> None:
        """Open what is written. Raise ConfigError for what can never work, RetriableError else."""

    def open(self, partitions: frozenset[TopicPartition]) -> None:
        """These partitions are ours from now on."""

    @abstractmethod
    def put(self, batch: SinkBatch) -> None:
        """Take a batch, which may be empty.

        A RetriableError makes the engine bring the same batch again later; any other exception
        ends the task.
        """

    def flush(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Make everything put so far durable; called before the offsets are committed."""

    def pre_commit(self, offsets: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int]:
        """The offsets that may be committed: next offset to read for each partition.

        The default flushes and returns what it was given.
        """
        self.flush(offsets)
        return offsets

    def close(self, partitions: frozenset[TopicPartition]) -> None:
        """These partitions go elsewhere; their last ``pre_commit`` is over."""

    @abstractmethod
    def stop(self) -> None:
        """Close what ``start`` opened; the last call, also after a failure."""
