"""Delays and limits of the restart policy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.exit_status import ExitClass
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


def test_each_delay_is_longer_by_the_factor() -> None:
    policy = RestartPolicy(delay=1, delay_factor=3, delay_max=30)

    assert [policy.delay_before(failures, 0.5) for failures in (1, 2, 3, 4)] == [1, 3, 9, 27]
    assert policy.delay_before(10**9, 0.5) == 30


def test_no_more_restarts_are_remembered_than_the_limit_counts() -> None:
    assert RestartPolicy(max_restarts=2).recent((1.0, 2.0, 3.0), 4.0) == (2.0, 3.0)
    assert RestartPolicy(max_restarts=0).recent((1.0,), 4.0) == ()


@pytest.mark.parametrize(
    ("policy", "exit_class", "number", "refusal"),
    [
        (RestartPolicy(), ExitClass.CRASH, 1, None),
        (RestartPolicy(), ExitClass.START_FAILED, None, None),
        (RestartPolicy(), ExitClass.CONFIG, 78, "the cause is permanent (config)"),
        (RestartPolicy(), ExitClass.MISSING_PLUGIN, 69, "the cause is permanent (missing_plugin)"),
        (RestartPolicy(mode="always"), ExitClass.CONFIG, 78, "the cause is permanent (config)"),
        (RestartPolicy(mode="never"), ExitClass.CRASH, 1, "the restart policy is never"),
        (RestartPolicy(mode="never", force=(-11,)), ExitClass.CRASH, -11, None),
        (RestartPolicy(force=(77,)), ExitClass.AUTHENTICATION, 77, None),
        (RestartPolicy(prevent=(3,)), ExitClass.CRASH, 3,
         "engine.restart.prevent.exit.status names exit code 3"),
        (RestartPolicy(force=(-9,), prevent=(-9,)), ExitClass.KILLED, -9,
         "engine.restart.prevent.exit.status names SIGKILL"),
    ],
)  # fmt: skip
def test_the_cause_the_policy_and_the_exit_status_decide(
    policy: RestartPolicy, exit_class: ExitClass, number: int | None, refusal: str | None
) -> None:
    assert policy.refusal(exit_class, number) == refusal


@pytest.mark.parametrize(
    ("uptime", "has_progressed", "needs_progress", "is_healthy"),
    [(9, True, True, False), (10, True, True, True), (10, False, True, False),
     (10, False, False, True)],
)  # fmt: skip
def test_healthy_is_who_ran_long_enough_and_moved_something(
    uptime: float, has_progressed: bool, needs_progress: bool, is_healthy: bool
) -> None:
    policy = RestartPolicy(reset_after=10, reset_needs_progress=needs_progress)

    assert policy.is_healthy(uptime, has_progressed=has_progressed) is is_healthy
