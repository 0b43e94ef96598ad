"""Delays of programs of our own."""

from engine.model.backoff import Backoff


def delays_of(backoff: Backoff, lifetimes: list[float]) -> list[float]:
    now, delays = 0.0, []
    for lifetime in lifetimes:
        backoff.started(now)
        now += lifetime
        delays.append(backoff.delay(now))
        now += delays[-1]
    return delays


def test_the_first_restart_comes_at_once_and_then_delays_double_up_to_the_longest() -> None:
    assert delays_of(Backoff(first=1, most=10), [0.1] * 7) == [0, 1, 2, 4, 8, 10, 10]


def test_a_healthy_run_makes_the_next_restart_come_at_once_again() -> None:
    assert delays_of(Backoff(first=1), [0.1, 0.1, 0.1, 60, 0.1]) == [0, 1, 2, 0, 1]


def test_what_counts_as_healthy_is_the_programs_own() -> None:
    assert delays_of(Backoff(first=1, healthy=60), [59, 59, 61, 59]) == [0, 1, 0, 1]


def test_no_number_of_failures_overflows() -> None:
    assert delays_of(Backoff(first=1, most=10), [0.0] * 1000)[-1] == 10
