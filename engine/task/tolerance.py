"""What happens to a record that cannot be handled: the ``errors.*`` keys of a connector."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Protocol, TypeVar

from engine.api.config import LOW, MEDIUM, config, key, one_of, parse
from engine.api.errors import RetriableError, ToleranceExceededError
from engine.model.slot import Slot

_FIRST_DELAY: Final = 0.3
_MOST_DOUBLINGS: Final = 32

T = TypeVar("T")


class Stage(StrEnum):
    """Where a record failed (upstream: ``Stage``)."""

    TRANSFORMATION = "TRANSFORMATION"
    KEY_CONVERTER = "KEY_CONVERTER"
    VALUE_CONVERTER = "VALUE_CONVERTER"
    HEADER_CONVERTER = "HEADER_CONVERTER"
    TASK_PUT = "TASK_PUT"
    KAFKA_PRODUCE = "KAFKA_PRODUCE"


class Failed:
    """The outcome of an operation whose record is given up."""


FAILED: Final = Failed()


@config
class ErrorPolicy:
    """The ``errors.*`` keys of a connector."""

    tolerance: str = key(
        "errors.tolerance",
        default="none",
        doc="What a bad record does: none ends the task, all skips the record.",
        importance=MEDIUM,
        check=one_of("none", "all"),
    )
    retry_timeout: float = key(
        "errors.retry.timeout",
        default=0.0,
        milliseconds=True,
        doc="How long a failed operation is tried again; 0 never, -1 for ever.",
    )
    retry_delay_max: float = key(
        "errors.retry.delay.max.ms",
        default=60.0,
        milliseconds=True,
        doc="Longest time between two attempts.",
    )
    log_enable: bool = key(
        "errors.log.enable", default=False, doc="Whether tolerated errors are logged."
    )
    log_include_messages: bool = key(
        "errors.log.include.messages",
        default=False,
        doc="Whether the log also says which record it was.",
        importance=LOW,
    )

    @property
    def tolerates_all(self) -> bool:
        """Whether a bad record is skipped."""
        return self.tolerance == "all"


def error_policy(values: Mapping[str, str]) -> ErrorPolicy:
    """The policy of a connector.

    Raises:
        ConfigError: with every problem.
    """
    return parse(ErrorPolicy, values)


@dataclass(frozen=True, slots=True)
class RecordFailure:
    """A record that failed for good.

    Attributes:
        executing: the class that failed.
        record: a SourceRecord, a SinkRecord or a consumed record, as the stage had it.
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

    @property
    def has_reporters(self) -> bool:
        """Whether anybody hears of failures."""
        return bool(self._reporters)

    def execute(
        self, stage: Stage, executing: type, operation: Callable[[], T], record: Any
    ) -> T | Failed:
        """The operation's result, or FAILED when its record is to be skipped.

        Raises:
            ToleranceExceededError: the policy does not allow for the failure.
            RetriableError: the task is to end while an attempt was still due.
        """
        attempts = 0
        started = self._clock() if self.policy.retry_timeout else 0.0
        while True:
            attempts += 1
            try:
                return operation()
            except RetriableError as error:
                self._slot.add("record_failures", 1)
                delay = self._delay(attempts, started)
                if delay is None:
                    return self._give_up(stage, executing, error, record, attempts)
                self._slot.add("retries", 1)
                if not self._wait(delay):
                    raise
            except Exception as error:  # noqa: BLE001 (whatever a plugin raises is judged here)
                self._slot.add("record_failures", 1)
                return self._give_up(stage, executing, error, record, attempts)

    def fail(self, stage: Stage, executing: type, error: BaseException, record: Any) -> None:
        """Deal with a failure that happened elsewhere and is never tried again.

        Raises:
            ToleranceExceededError: the policy does not allow for it.
        """
        self._slot.add("record_failures", 1)
        self._give_up(stage, executing, error, record, 1)

    def _give_up(
        self, stage: Stage, executing: type, error: BaseException, record: Any, attempts: int
    ) -> Failed:
        self._slot.add("record_errors", 1)
        self._slot["last_error_ms"] = int(datetime.now(UTC).timestamp() * 1000)
        failure = RecordFailure(stage, executing, error, record, attempts)
        for reporter in self._reporters:
            reporter.report(failure)
        if not self.policy.tolerates_all:
            raise ToleranceExceededError(
                stage, f"Tolerance exceeded in error handler: {stage}: {error}"
            ) from error
        self._slot.add("records_skipped", 1)
        return FAILED

    def _delay(self, attempt: int, started: float) -> float | None:
        """Seconds to the next attempt, None when there is none."""
        policy = self.policy
        if policy.retry_timeout == 0:
            return None
        delay: float = _FIRST_DELAY * 2 ** min(attempt - 1, _MOST_DOUBLINGS)
        if delay > policy.retry_delay_max:
            delay = random.uniform(0, policy.retry_delay_max)  # noqa: S311 (spreads, not secret)
        if policy.retry_timeout < 0:
            return delay
        left: float = started + policy.retry_timeout - self._clock()
        return min(delay, left) if left > 0 else None
