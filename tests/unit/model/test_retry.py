"""When a failed operation is tried again."""

from hypothesis import given
from hypothesis import strategies as st

from engine.model.retry import Retries, RetryLimits


def waits(limits: RetryLimits, spread: float = 0.5, most: int = 50) -> list[float]:
    """The waits of an operation that always fails at once."""
    now, retries = 1000.0, Retries(limits, 1000.0)
    found: list[float] = []
    while len(found) < most and (delay := retries.next_delay(now, spread)) is not None:
        found.append(round(delay, 6))
        now += delay
    return found


def test_the_wait_doubles_until_the_time_is_over() -> None:
    assert waits(RetryLimits(timeout=2.0)) == [0.3, 0.6, 1.1]


def test_the_count_is_a_bound_of_its_own() -> None:
    assert waits(RetryLimits(timeout=-1, most=3)) == [0.3, 0.6, 1.2]
    assert waits(RetryLimits(timeout=1, most=3)) == [0.3, 0.6, 0.1]
    assert waits(RetryLimits(timeout=-1, most=0)) == []


def test_without_time_there_is_no_retry() -> None:
    assert waits(RetryLimits(timeout=0, most=5)) == []


def test_a_wait_above_the_longest_is_a_random_part_of_it() -> None:
    assert waits(RetryLimits(longest=1.0, timeout=-1), 0.25, most=4) == [0.3, 0.6, 0.25, 0.25]


@given(
    st.floats(0.001, 10), st.floats(0.001, 100), st.floats(0.001, 1000), st.integers(-1, 40),
    st.floats(0, 1),
)  # fmt: skip
def test_no_bound_is_ever_passed(
    first: float, longest: float, timeout: float, most: int, spread: float
) -> None:
    found = waits(RetryLimits(first, longest, timeout, most), spread)
    assert sum(found) <= timeout + 1e-3
    assert all(delay <= max(first, longest) + 1e-6 for delay in found)
    assert most < 0 or len(found) <= most
