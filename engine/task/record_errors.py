"""What becomes of a task's bad records: who judges them, who hears of them, where they are kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from engine.model.dead_letter import DeadLetter
from engine.task.log_reporter import LogReporter
from engine.task.record_quarantine import RecordQuarantine
from engine.task.task_life import TaskLife
from engine.task.task_plugins import TaskPlugins
from engine.task.tolerance import ErrorReporter, RetryWithToleranceOperator

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
        self._box = _letter_box(life, plugins)
        self.keeps_letters = self._box is not None
        if self._box is not None:
            from engine.task.dead_letter_queue import DeadLetterQueue  # noqa: PLC0415 (seldom)

            reporters.append(DeadLetterQueue(life.id, plugins, self._box.add))
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
        return self._box is None or self._box.open()

    def are_kept(self, patience: float) -> bool:
        """Wait until all records that were given up are durable; whether they are.

        Before that, no offset beyond them may be committed.
        """
        return self._box is None or self._box.flush(patience)

    def close(self) -> None:
        """Keep the last letters, that of the failure which ends the task among them."""
        if self._box is not None:
            try:
                self._box.flush(_LAST_PATIENCE)
            finally:
                self._box.close()


def _letter_box(life: TaskLife, plugins: TaskPlugins) -> LetterBox | None:
    """Where this connector's letters go; its modules are imported by those alone that keep any."""
    policy, data_dir = plugins.errors, Path(life.runtime.assignment.data_dir)
    if not policy.has_queue and not policy.topic:
        return None
    from engine.storage.dead_letter_store import DeadLetterStore  # noqa: PLC0415
    from engine.task.dead_letter_file import DeadLetterFile  # noqa: PLC0415
    from engine.task.dead_letter_topic import DeadLetterTopic  # noqa: PLC0415

    store = DeadLetterStore(data_dir, life.id.connector)
    file = DeadLetterFile(life, store, policy.queue_limits) if policy.has_queue else None
    return DeadLetterTopic(life, policy, file) if policy.topic else file
