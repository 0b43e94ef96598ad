"""What becomes of a task's bad records: who judges them, who hears of them, where they are kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from engine.model.letters.dead_letter import DeadLetter
from engine.task.log_reporter import LogReporter
from engine.task.record_quarantine import RecordQuarantine
from engine.task.task_life import TaskLife
from engine.task.task_plugins import TaskPlugins
from engine.task.tolerance import ErrorReporter, RecordFailure, RetryWithToleranceOperator

_LAST_PATIENCE: Final = 1.0


class LetterBox(Protocol):
    """Where dead letters are kept."""

    def open(self) -> bool:
        """Make ready; False when the task is to end meanwhile."""

    def add(self, letter: DeadLetter) -> None:
        """Take a letter; it is durable when :meth:`flush` says so."""

    def flush(self, patience: float) -> bool:
        """Wait so many seconds at most until all letters are durable; whether they are."""

    def close(self) -> None:
        """Give everything back; what is not durable yet is not kept."""


class RecordErrors:
    """The judge of a task's records, with everybody whom the connector wants to hear of them.

    Args:
        life: of the task.
        plugins: the task's.
        executing: the task's class.
        wait: waits for another attempt at a record; False when the task is to end.

    Attributes:
        operator: the judge.
        keeps_letters: whether records that are given up are kept.
        quarantine: finds records that end processes; None where nothing is tolerated.
    """

    def __init__(
        self,
        life: TaskLife,
        plugins: TaskPlugins,
        executing: type,
        wait: Callable[[float], bool],
    ) -> None:
        policy, slot = plugins.errors, life.runtime.slot
        reporters: list[ErrorReporter] = []
        self.keeps_letters = bool(policy.topic) or policy.has_queue
        self._letters = _Letters(life, plugins)
        if self.keeps_letters:
            reporters.append(self._letters)
        if policy.log_enable:
            reporters.append(LogReporter(life.log, life.id, policy, slot))
        self.operator = RetryWithToleranceOperator(policy, slot, wait, reporters)
        self.quarantine = (
            RecordQuarantine(life, self.operator, executing) if policy.has_quarantine else None
        )

    def begin(self) -> None:
        """Look at how the last process ended, before this one can end."""
        if self.quarantine is not None:
            self.quarantine.begin()

    def open(self) -> bool:
        """Make ready to keep letters; False when the task is to end meanwhile.

        Raises:
            ConnectError: they cannot be kept where they should be.
        """
        return self._letters.open()

    def are_kept(self, patience: float) -> bool:
        """Wait until all records that were given up are durable; whether they are.

        Before that, no offset beyond them may be committed.
        """
        return self._letters.flush(patience)

    def close(self) -> None:
        """Keep the last letters, that of the failure which ends the task among them."""
        try:
            self._letters.flush(_LAST_PATIENCE)
        finally:
            self._letters.close()


class _Letters:
    """Makes letters of failures and keeps them; what that takes is imported with the first one."""

    def __init__(self, life: TaskLife, plugins: TaskPlugins) -> None:
        self._life = life
        self._plugins = plugins
        self._box: LetterBox | None = None
        self._queue: ErrorReporter | None = None

    def open(self) -> bool:
        """A topic is to be there before the first letter is; a file can wait."""
        return not self._plugins.errors.topic or self._opened().open()

    def report(self, failure: RecordFailure) -> None:
        """Keep the record of a failure."""
        if self._queue is None:
            from engine.task.dead_letter_queue import DeadLetterQueue  # noqa: PLC0415

            self._queue = DeadLetterQueue(self._life.id, self._plugins, self._opened().add)
        self._queue.report(failure)

    def flush(self, patience: float) -> bool:
        """Whether all letters are durable."""
        return self._box is None or self._box.flush(patience)

    def close(self) -> None:
        """Give everything back."""
        if self._box is not None:
            self._box.close()

    def _opened(self) -> LetterBox:
        if self._box is None:
            self._box = _letter_box(self._life, self._plugins)
        return self._box


def _letter_box(life: TaskLife, plugins: TaskPlugins) -> LetterBox:
    from engine.storage.dead_letter_store import DeadLetterStore  # noqa: PLC0415
    from engine.task.dead_letter_file import DeadLetterFile  # noqa: PLC0415
    from engine.task.dead_letter_topic import DeadLetterTopic  # noqa: PLC0415

    policy, data_dir = plugins.errors, Path(life.runtime.assignment.data_dir)
    store = DeadLetterStore(data_dir, life.id.connector)
    file = DeadLetterFile(life, store, policy.queue_limits)
    return (
        DeadLetterTopic(life, policy, file if policy.has_queue else None) if policy.topic else file
    )
