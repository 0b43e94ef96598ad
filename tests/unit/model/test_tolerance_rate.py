"""How many failures are too many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.tolerance_rate import ToleranceRate, ToleranceWindow, rate_problem, tolerance_rate


@pytest.mark.parametrize(
    ("text", "most", "is_share", "window"),
    [
        ("1%/5m", 0.01, True, 300),
        (" 0.5 % / 90 s ", 0.005, True, 90),
        ("100/5m", 100, False, 300),
        ("3/500ms", 3, False, 0.5),
        ("1000/1d", 1000, False, 86400),
        ("10/consecutive", 10, False, None),
        ("10 consecutive", 10, False, None),
        ("0/1h", 0, False, 3600),
    ],
)
def test_forms_of_a_rate(text: str, most: float, is_share: bool, window: float | None) -> None:
    assert tolerance_rate(text) == ToleranceRate(text.strip(), most, is_share, window)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1%", "expected a share"),
        ("1%/5", "expected a share"),
        ("-1/5m", "expected a share"),
        ("many", "expected a share"),
        ("101%/5m", "expected at most 100%"),
        ("1.5/5m", "expected a whole number of records"),
        ("1/0s", "expected a time above 0"),
    ],
)
def test_what_is_no_rate_is_told(text: str, said: str) -> None:
    assert said in (rate_problem(text) or "")


def test_a_count_in_a_time_allows_for_just_as_many() -> None:
    window = ToleranceWindow(tolerance_rate("2/60s"))
    assert [window.failed(now) for now in (0, 10)] == [None, None]
    assert window.failed(20) == "3 failed, more than 2/60s"
    assert window.failed(200) is None  # those before are out of the window


def test_a_share_is_of_the_records_that_came_in_the_time() -> None:
    window = ToleranceWindow(tolerance_rate("10%/60s"))
    window.saw(50, 0)
    assert [window.failed(1) for _ in range(5)] == [None] * 5
    assert window.failed(2) == "6 of 50 records failed, more than 10%/60s"
    window.saw(100, 3)
    assert window.failed(4) is None


def test_a_share_leaves_room_for_one_failure_however_few_records_came() -> None:
    window = ToleranceWindow(tolerance_rate("1%/5m"))
    window.saw(1, 0)
    assert window.failed(0) is None
    assert window.failed(1) is not None


def test_a_run_of_failures_ends_with_a_success() -> None:
    window = ToleranceWindow(tolerance_rate("2/consecutive"))
    assert [window.failed(0), window.failed(0)] == [None, None]
    window.passed()
    assert [window.failed(0), window.failed(0)] == [None, None]
    assert window.failed(0) == "3 records in a row failed, more than 2/consecutive"


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=60), st.integers(1, 20))
def test_a_count_is_never_exceeded_unnoticed(steps: list[tuple[int, bool]], most: int) -> None:
    """Counting only what is surely within the window never finds more than the most."""
    window, now, failures = ToleranceWindow(tolerance_rate(f"{most}/60s")), 0.0, []
    for passed, is_failure in steps:
        now += passed
        if is_failure:
            failures.append(now)
            surely = [at for at in failures if now - at < 59]  # buckets are a second wide
            if len(surely) > most:
                assert window.failed(now) is not None
                return
            window.failed(now)
