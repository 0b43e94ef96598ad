"""Dead letters in a file of the worker's own, for connectors that name no topic for them."""

import time
from datetime import UTC, datetime
from typing import Final

from engine.api.errors import RetriableError, ToleranceExceededError
from engine.model.error_policy import QueueLimits
from engine.model.letters.dead_letter import DeadLetter
from engine.storage.database import StoreError
from engine.storage.dead_letter_store import DeadLetterStore, QueueFullError
from engine.task.task_life import TaskLife

_LETTERS_MOST: Final = 500
_BYTES_MOST: Final = 4 << 20
_TOLD_EVERY: Final = 60.0


class DeadLetterFile:
    """Writes letters in batches: when there are many, and whenever they must be durable.

    Args:
        life: of the task.
        store: the connector's file.
        limits: its bounds.
    """

    def __init__(self, life: TaskLife, store: DeadLetterStore, limits: QueueLimits) -> None:
        self._life = life
        self._slot = life.runtime.slot
        self._store = store
        self._limits = limits
        self._waiting: list[DeadLetter] = []
        self._bytes = 0
        self._dropped = 0
        self._tell_at = 0.0

    def open(self) -> bool:
        """Nothing to do: the file is made with the first letter."""
        return True

    def add(self, letter: DeadLetter) -> None:
        """Take a letter.

        Raises:
            RetriableError: letters cannot be written and there are too many to be held.
            ToleranceExceededError: there is no room for it.
        """
        self._waiting.append(letter)
        self._bytes += letter.record.size + len(letter.stacktrace or "")
        is_much = len(self._waiting) >= _LETTERS_MOST or self._bytes >= _BYTES_MOST
        if is_much and not self.flush(0.0):
            raise RetriableError(f"dead letters cannot be kept in {self._store.path}")

    def flush(self, patience: float) -> bool:
        """Write what waits; a file that cannot be written is not waited for.

        Raises:
            ToleranceExceededError: there is no room for it.
        """
        del patience
        if not self._waiting:
            return True
        now_ms = int(datetime.now(UTC).timestamp() * 1000)
        try:
            dropped = self._store.add(self._waiting, self._limits, now_ms)
        except QueueFullError as error:
            stage = self._waiting[0].stage or ""
            raise ToleranceExceededError(
                stage,
                f"the queue for dead letters is full: {error}; take letters away, raise "
                "engine.errors.queue.max.bytes, or let old ones go with "
                "engine.errors.queue.overflow=drop-oldest",
            ) from error
        except StoreError as error:
            self._life.log.error("dead letters cannot be kept", error=str(error))
            self._life.conditions.say("letters", f"dead letters cannot be kept: {error}")
            return False
        self._life.conditions.say("letters", None)
        self._slot.add("dead_letters", len(self._waiting))
        self._waiting, self._bytes = [], 0
        self._tell(dropped)
        return True

    def close(self) -> None:
        """Close the file."""
        self._tell_at = 0.0
        self._tell(0)
        self._store.close()

    def _tell(self, dropped: int) -> None:
        """Count letters that had to give way, and say so now and then."""
        self._slot.add("dead_letters_dropped", dropped)
        self._dropped += dropped
        if self._dropped and time.monotonic() >= self._tell_at:
            self._life.log.warning(
                "old dead letters were dropped for new ones",
                letters=self._dropped, file=str(self._store.path),
                max_bytes=self._limits.size, max_age_seconds=self._limits.age,
            )  # fmt: skip
            self._dropped = 0
            self._tell_at = time.monotonic() + _TOLD_EVERY
