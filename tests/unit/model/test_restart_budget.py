"""Budgets of restarts: a burst at once, the rest at a steady rate, nobody for ever."""

from hypothesis import given
from hypothesis import strategies as st

from engine.model.restart_budget import RestartBudget
from engine.model.token_bucket import TokenBucket


def test_a_burst_comes_at_once_and_the_rest_one_after_the_other() -> None:
    bucket = TokenBucket(10, 3)

    waits = [bucket.reserve(100.0) for _ in range(6)]

    assert [round(wait, 6) for wait in waits] == [0, 0, 0, 0.1, 0.2, 0.3]


def test_time_fills_the_bucket_again_but_never_over_its_brim() -> None:
    bucket = TokenBucket(10, 3)
    for _ in range(3):
        bucket.reserve(100.0)

    assert bucket.reserve(100.125) == 0
    assert round(bucket.reserve(100.125), 6) == 0.075
    waits = [bucket.reserve(1000.0) for _ in range(4)]
    assert [round(wait, 6) for wait in waits] == [0, 0, 0, 0.1]


def test_a_rate_of_zero_bounds_nothing() -> None:
    budget = RestartBudget((0, 1))

    assert {budget.claim("a", (0, 1), 1.0) for _ in range(1000)} == {0.0}


@given(
    st.lists(st.floats(0, 5), max_size=60),
    st.floats(0.5, 100),
    st.integers(1, 20),
)
def test_no_second_sees_more_than_the_burst_and_the_rate(
    pauses: list[float], rate: float, burst: int
) -> None:
    bucket, now, times = TokenBucket(rate, burst), 0.0, []
    for pause in pauses:
        now += pause
        times.append(now + bucket.reserve(now))

    for start in times:
        within = [at for at in times if start <= at < start + 1]
        assert len(within) <= burst + rate + 1


def test_connectors_have_budgets_of_their_own_below_the_hosts() -> None:
    budget = RestartBudget((10, 4))

    first = [budget.claim("a", (1, 2), 50.0) for _ in range(3)]
    second = [budget.claim("b", (1, 2), 50.0) for _ in range(2)]

    assert [round(wait, 6) for wait in first] == [0, 0, 1]
    assert [round(wait, 6) for wait in second] == [0, 0.1]


def test_connectors_that_are_quiet_again_are_forgotten() -> None:
    budget = RestartBudget((0, 1))
    for number in range(10_000):
        budget.claim(f"c{number}", (10, 1), float(number))

    assert len(budget._connectors) < 300


def test_a_successor_goes_on_with_what_was_left() -> None:
    """An upgrade is no occasion for a storm: neither bucket is full again, and debts stay."""
    budget = RestartBudget((10, 4))
    for _ in range(5):
        budget.claim("a", (1, 2), 50.0)
    successor = RestartBudget((10, 4))

    successor.go_on_from(budget.levels(50.5))

    for connector in ("a", "b"):
        waits = [each.claim(connector, (1, 2), 51.0) for each in (budget, successor)]
        assert waits[0] == waits[1]
    assert successor.claim("a", (1, 2), 51.0) > 2


def test_a_successor_with_another_bound_keeps_to_its_own() -> None:
    budget, successor = RestartBudget((10, 100)), RestartBudget((10, 2))
    budget.claim("a", (0, 1), 50.0)

    successor.go_on_from(budget.levels(50.0))

    assert [round(successor.claim("a", (0, 1), 50.0), 6) for _ in range(3)] == [0, 0, 0.1]
    unbound = RestartBudget((0, 1))
    unbound.go_on_from(budget.levels(50.0))
    assert unbound.levels(50.0) == ()
