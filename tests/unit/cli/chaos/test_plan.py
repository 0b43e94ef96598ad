"""The plan: what somebody types, and what a seed makes of it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cli.chaos.fault import Fault
from engine.cli.chaos.plan import (
    Amount,
    PlanError,
    default_mix,
    parse_amount,
    parse_kill,
    refusals,
    schedule,
)  # fmt: skip

MIX = {Fault.KILL_TASK: Amount(6, is_rate=True), Fault.STOP: Amount(3, is_rate=False)}


@pytest.mark.parametrize(
    ("text", "minutes", "times"),
    [("3", 10, 3), ("6/min", 3, 18), ("0.5/min", 3, 2), ("0.1/min", 1, 1), ("0", 5, 0)],
)
def test_an_amount_is_a_number_or_a_rate(text: str, minutes: float, times: int) -> None:
    assert parse_amount(text, "--stop").times(minutes) == times


@pytest.mark.parametrize("text", ["", "-1", "2.5", "often", "3/hour", "nan", "inf", "1e9"])
def test_what_is_no_amount_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(PlanError, match=r"^--stop: .* is not a number of times \(3\) or a rate"):
        parse_amount(text, "--stop")


def test_kills_are_of_tasks_unless_another_process_is_named() -> None:
    assert parse_kill("6/min") == {Fault.KILL_TASK: Amount(6, is_rate=True)}
    assert parse_kill("task=2, supervisor=1") == {
        Fault.KILL_TASK: Amount(2, is_rate=False),
        Fault.KILL_SUPERVISOR: Amount(1, is_rate=False),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hearder=1", "--kill: 'hearder' is none of task, herder, .*; did you mean herder?"),
        ("task=1,task=2", "--kill: task is named twice"),
        ("task=x", "--kill: 'x' is not a number"),
    ],
)
def test_what_cannot_be_killed_is_named(text: str, said: str) -> None:
    with pytest.raises(PlanError, match=said.replace("?", r"\?")):
        parse_kill(text)


def test_the_same_seed_makes_the_same_schedule_and_another_one_another() -> None:
    assert schedule(MIX, 2, 7) == schedule(MIX, 2, 7)
    assert schedule(MIX, 2, 7) != schedule(MIX, 2, 8)


def test_one_more_kind_of_fault_does_not_move_the_others() -> None:
    more = {Fault.KILL_HERDER: Amount(4, is_rate=False), **MIX}
    alone = [(i.fault, i.at, i.share) for i in schedule(MIX, 2, 7)]
    among = [(i.fault, i.at, i.share) for i in schedule(more, 2, 7) if i.fault in MIX]
    assert alone == among


@given(st.integers(0, 50), st.floats(0.01, 60), st.integers(0, 1 << 40))
def test_every_injection_is_within_the_time_and_in_order(
    times: int, minutes: float, seed: int
) -> None:
    plan = schedule({Fault.OOM: Amount(times, is_rate=False)}, minutes, seed)
    assert [each.number for each in plan] == list(range(1, times + 1))
    assert all(0 <= each.at <= minutes * 60 and 0 <= each.share < 1 for each in plan)
    assert all(before.at <= after.at for before, after in pairwise(plan))


def test_by_default_a_running_engine_gets_nothing_that_is_refused() -> None:
    own, live = (default_mix(Fault, is_live=is_live) for is_live in (False, True))
    assert refusals(live) == []
    assert set(live) < set(own)
    assert {Fault.KILL_SUPERVISOR, Fault.OOM, Fault.DISK_FULL, Fault.BROKER_RESTART} <= set(own)


def test_what_would_hurt_others_is_refused_with_the_reason() -> None:
    mix = {Fault.BROKER_RESTART: Amount(1, is_rate=False), **MIX}
    assert refusals(mix) == [
        "broker-restart is not for a running engine: the broker may serve others as well"
    ]
