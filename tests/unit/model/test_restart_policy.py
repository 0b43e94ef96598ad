"""Delays and limits of the restart policy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.restart_policy import RestartPolicy


def test_delays_double_up_to_the_longest() -> None:
    policy = RestartPolicy(delay=1, delay_max=60)

    delays = [policy.delay_before(failures, 0.5) for failures in range(1, 9)]

    assert delays == [1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize(("jitter", "expected"), [(0.0, 3.0), (0.5, 4.0), (1.0, 5.0)])
def test_jitter_varies_a_delay_by_its_share_either_way(jitter: float, expected: float) -> None:
    assert RestartPolicy(jitter=0.25).delay_before(3, jitter) == expected


@given(st.integers(1, 10_000_000), st.floats(0, 1), st.floats(0, 10), st.floats(0, 100))
def test_no_delay_is_negative_or_longer_than_the_cap_with_its_jitter(
    failures: int, jitter: float, delay: float, delay_max: float
) -> None:
    policy = RestartPolicy(delay=delay, delay_max=delay_max)

    assert 0 <= policy.delay_before(failures, jitter) <= delay_max * 1.25


@given(st.integers(1, 80))
def test_a_further_failure_never_shortens_the_delay(failures: int) -> None:
    policy = RestartPolicy()

    assert policy.delay_before(failures + 1, 0.5) >= policy.delay_before(failures, 0.5)


def test_the_window_forgets_what_is_older() -> None:
    policy = RestartPolicy(window=10)

    assert policy.recent((1.0, 5.0, 11.0), 12.0) == (5.0, 11.0)
    assert policy.recent((2.0,), 12.0) == ()


def test_the_limit_is_reached_with_as_many_restarts_as_the_window_may_hold() -> None:
    policy = RestartPolicy(max_restarts=2, window=10)

    assert not policy.is_exhausted((1.0, 11.0), 12.0)
    assert policy.is_exhausted((5.0, 11.0), 12.0)


def test_a_limit_of_zero_allows_no_restart() -> None:
    assert RestartPolicy(max_restarts=0).is_exhausted((), 0.0)
