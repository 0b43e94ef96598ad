"""Tries operations on records again and decides about those that fail, as ``errors.*`` says."""

import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TypeVar

import msgspec

from engine.api.errors import RetriableError, ToleranceExceededError
from engine.model.error_policy import ErrorPolicy, Stage
from engine.model.retry import Retries
from engine.model.slot import Slot
from engine.model.tolerance_rate import ToleranceWindow

T = TypeVar("T")

_COUNTERS: Final = {stage: f"errors_{stage.lower()}" for stage in Stage}


class Failed:
    """The outcome of an operation whose record is given up."""


FAILED: Final = Failed()


class RecordFailure(msgspec.Struct, frozen=True):
    """A record that failed for good.

    Attributes:
        executing: the class that failed.
        record: a SourceRecord, a SinkRecord or what else the stage had; None when it had none.
        attempts: how often it was tried.
    """

    stage: Stage
    executing: type
    error: BaseException
    record: Any
    attempts: int


class ErrorReporter(Protocol):
    """Hears of every record that failed for good, also of one that ends the task."""

    def report(self, failure: RecordFailure) -> None:
        """Take note of it."""


class Judge(Protocol):
    """Carries out what is done to records, and decides about those that fail."""

    def execute(
        self, stage: Stage, executing: type, operation: Callable[[], T], record: Any
    ) -> T | Failed:
        """The operation's result, or FAILED when its record is to be skipped."""


class RetryWithToleranceOperator:
    """Tries operations on records and decides about those that fail.

    Args:
        policy: what is tolerated and tried again.
        slot: where failures are counted.
        wait: waits so many seconds; False when the task is to end.
        reporters: who hears of failures.
        clock: the monotonic clock.
    """

    def __init__(
        self,
        policy: ErrorPolicy,
        slot: Slot,
        wait: Callable[[float], bool],
        reporters: Sequence[ErrorReporter] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.policy = policy
        self._slot = slot
        self._wait = wait
        self._reporters = reporters
        self._clock = clock
        self._limits = policy.limits
        rate = policy.tolerance_rate
        self._window = None if rate is None else ToleranceWindow(rate)

    @property
    def has_reporters(self) -> bool:
        """Whether anybody hears of failures."""
        return bool(self._reporters)

    def saw(self, records: int) -> None:
        """So many records came; a share of them may fail."""
        if self._window is not None:
            self._window.saw(records, self._clock())

    def passed(self) -> None:
        """A record got through, which ends a run of failures."""
        if self._window is not None:
            self._window.passed()

    def execute(
        self, stage: Stage, executing: type, operation: Callable[[], T], record: Any
    ) -> T | Failed:
        """The operation's result, or FAILED when its record is to be skipped.

        Raises:
            ToleranceExceededError: the policy does not allow for the failure.
            RetriableError: the task is to end while an attempt was still due.
        """
        retries: Retries | None = None
        began = self._clock() if self._limits.timeout > 0 else 0.0
        while True:
            try:
                return operation()
            except RetriableError as error:
                self._slot.add("record_failures", 1)
                retries = retries or Retries(self._limits, began)
                delay = retries.next_delay(self._clock(), random.random())  # noqa: S311
                if delay is None:
                    return self._give_up(stage, executing, error, record, retries.count + 1)
                self._slot.add("retries", 1)
                if not self._wait(delay):
                    raise
            except Exception as error:  # noqa: BLE001 (whatever a plugin raises is judged here)
                self._slot.add("record_failures", 1)
                attempts = 1 if retries is None else retries.count + 1
                return self._give_up(stage, executing, error, record, attempts)

    def fail(
        self, stage: Stage, executing: type, error: BaseException, record: Any, attempts: int = 1
    ) -> None:
        """Deal with a failure that happened elsewhere and is never tried again.

        Raises:
            ToleranceExceededError: the policy does not allow for it.
        """
        self._slot.add("record_failures", 1)
        self._give_up(stage, executing, error, record, attempts)

    def _give_up(
        self, stage: Stage, executing: type, error: BaseException, record: Any, attempts: int
    ) -> Failed:
        self._slot.add("record_errors", 1)
        self._slot.add(_COUNTERS[stage], 1)
        self._slot["last_error_ms"] = int(datetime.now(UTC).timestamp() * 1000)
        failure = RecordFailure(stage, executing, error, record, attempts)
        for reporter in self._reporters:
            reporter.report(failure)
        too_many = None if self._window is None else self._window.failed(self._clock())
        if too_many or not self.policy.is_tolerant:
            why = f" ({too_many})" if too_many else ""
            raise ToleranceExceededError(
                stage, f"Tolerance exceeded in error handler{why}: {stage}: {error}"
            ) from error
        self._slot.add("records_skipped", 1)
        return FAILED
