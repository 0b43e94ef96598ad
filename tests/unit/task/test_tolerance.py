"""What happens to records that cannot be handled."""

import mmap
from collections.abc import Callable

import pytest

from engine.api.errors import DataError, RetriableError, ToleranceExceededError
from engine.model.error_policy import Stage, error_policy
from engine.model.slot import SLOT_BYTES, Slot
from engine.task.tolerance import (
    FAILED,
    RecordFailure,
    RetryWithToleranceOperator,
)


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []
        self.is_stopping = False

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        return not self.is_stopping


class Notes:
    def __init__(self) -> None:
        self.failures: list[RecordFailure] = []

    def report(self, failure: RecordFailure) -> None:
        self.failures.append(failure)


class Bench:
    def __init__(self, rate: str = "", **keys: str) -> None:
        self.clock, self.notes = Clock(), Notes()
        self.slot = Slot(memoryview(mmap.mmap(-1, SLOT_BYTES)))
        given = {f"errors.{k.replace('__', '.')}": v for k, v in keys.items()}
        policy = error_policy({}, given | {"engine.errors.tolerance.rate": rate})
        self.operator = RetryWithToleranceOperator(
            policy, self.slot, self.clock.wait, [self.notes], self.clock
        )

    def run(self, operation: Callable[[], object]) -> object:
        return self.operator.execute(Stage.VALUE_CONVERTER, Bench, operation, "record")

    def counted(self, *names: str) -> list[int]:
        return [self.slot[name] for name in names]


def fails(times: int, error: Exception) -> Callable[[], str]:
    left = [times]

    def operation() -> str:
        if left[0]:
            left[0] -= 1
            raise error
        return "done"

    return operation


def test_what_works_costs_nothing() -> None:
    bench = Bench()
    assert bench.run(lambda: "done") == "done"
    assert bench.counted("record_failures", "record_errors", "retries") == [0, 0, 0]


def test_a_bad_record_is_too_much_by_default_and_is_reported_first() -> None:
    bench = Bench()
    with pytest.raises(ToleranceExceededError) as caught:
        bench.run(fails(1, DataError("no")))
    assert str(caught.value) == "Tolerance exceeded in error handler: VALUE_CONVERTER: no"
    assert caught.value.stage == "VALUE_CONVERTER"
    assert isinstance(caught.value.__cause__, DataError)
    assert [(f.stage, f.record, f.attempts) for f in bench.notes.failures] == [
        (Stage.VALUE_CONVERTER, "record", 1)
    ]
    names = ("record_failures", "record_errors", "records_skipped")
    assert bench.counted(*names) == [1, 1, 0]


def test_any_exception_is_skipped_where_all_is_tolerated() -> None:
    bench = Bench(tolerance="all")
    assert bench.run(fails(1, KeyError("x"))) is FAILED
    names = ("record_failures", "record_errors", "records_skipped")
    assert bench.counted(*names) == [1, 1, 1]
    assert bench.slot["last_error_ms"] > 0


def test_without_a_retry_timeout_nothing_is_tried_again() -> None:
    bench = Bench(tolerance="all")
    assert bench.run(fails(1, RetriableError("later"))) is FAILED
    assert bench.clock.waits == []


def test_the_delay_doubles_and_never_passes_the_deadline() -> None:
    bench = Bench(tolerance="all", retry__timeout="2000")
    assert bench.run(fails(99, RetriableError("later"))) is FAILED
    assert bench.clock.waits == pytest.approx([0.3, 0.6, 1.1])
    assert bench.counted("record_failures", "retries") == [4, 3]


def test_a_delay_above_the_maximum_is_random_below_it() -> None:
    bench = Bench(tolerance="all", retry__timeout="-1", retry__delay__max__ms="500")
    assert bench.run(fails(20, RetriableError("later"))) == "done"
    assert bench.clock.waits[0] == pytest.approx(0.3)
    assert all(0 <= wait <= 0.5 for wait in bench.clock.waits[1:])


def test_other_errors_are_not_tried_again() -> None:
    bench = Bench(tolerance="all", retry__timeout="-1")
    assert bench.run(fails(1, DataError("no"))) is FAILED
    assert bench.clock.waits == []


def test_a_stop_while_an_attempt_is_due_gives_no_record_up() -> None:
    bench = Bench(tolerance="all", retry__timeout="-1")
    bench.clock.is_stopping = True
    with pytest.raises(RetriableError):
        bench.run(fails(1, RetriableError("later")))
    assert bench.counted("record_errors", "records_skipped") == [0, 0]


def test_a_reported_failure_is_judged_the_same_way() -> None:
    bench = Bench()
    with pytest.raises(ToleranceExceededError):
        bench.operator.fail(Stage.TASK_PUT, Bench, DataError("no"), "record")
    Bench(tolerance="all").operator.fail(Stage.TASK_PUT, Bench, DataError("no"), "record")


def test_retries_are_bounded_by_their_count() -> None:
    bench = Bench(tolerance="all", max__retries="2")
    assert bench.run(fails(99, RetriableError("later"))) is FAILED
    assert bench.clock.waits == pytest.approx([0.3, 0.6])
    assert bench.notes.failures[0].attempts == 3


def test_what_is_tried_again_too_often_fails_a_task_that_tolerates_nothing() -> None:
    """Upstream skipped such a record silently (KAFKA-18073)."""
    bench = Bench(max__retries="1")
    with pytest.raises(ToleranceExceededError):
        bench.run(fails(99, RetriableError("later")))
    assert len(bench.notes.failures) == 1


def test_failures_are_counted_by_stage() -> None:
    bench = Bench(tolerance="all")
    bench.run(fails(1, DataError("no")))
    bench.operator.fail(Stage.TASK_PUT, Bench, DataError("no"), "record")
    assert bench.counted("errors_value_converter", "errors_task_put") == [1, 1]
    assert sum(bench.counted(*(f"errors_{stage.lower()}" for stage in Stage))) == 2


def test_a_failure_beyond_the_rate_is_reported_and_then_too_much() -> None:
    bench = Bench(rate="2/1m")
    assert [bench.run(fails(1, DataError("no"))) for _ in range(2)] == [FAILED, FAILED]
    with pytest.raises(ToleranceExceededError) as caught:
        bench.run(fails(1, DataError("no")))
    assert str(caught.value) == (
        "Tolerance exceeded in error handler (3 failed, more than 2/1m): VALUE_CONVERTER: no"
    )
    assert len(bench.notes.failures) == 3
    assert bench.counted("records_skipped") == [2]
