"""The ``errors.*`` keys of a connector."""

import pytest

from engine.api.errors import ConfigError
from engine.model.error_policy import ErrorPolicy, error_policy
from engine.model.retry import RetryLimits


def policy(**keys: str) -> ErrorPolicy:
    return error_policy({}, {k.replace("__", "."): v for k, v in keys.items()})


def test_by_default_nothing_is_tried_again_and_polls_and_puts_for_ever() -> None:
    assert policy().limits == RetryLimits(first=0.3, longest=60, timeout=0, most=-1)
    assert policy().task_limits.timeout < 0
    assert policy().task_limits.most == -1
    assert not policy().is_tolerant


def test_a_count_of_retries_alone_is_not_bounded_by_time() -> None:
    given = policy(errors__max__retries="3")
    assert given.limits.most == given.task_limits.most == 3
    assert given.limits.timeout < 0
    both = policy(errors__max__retries="3", errors__retry__timeout="0")
    assert both.limits.timeout == 0


def test_the_time_of_polls_and_puts_has_a_key_of_its_own() -> None:
    given = policy(errors__retry__timeout="5000", engine__errors__task__retry__timeout__ms="60000")
    assert (given.limits.timeout, given.task_limits.timeout) == (5, 60)


def test_a_rate_alone_tolerates_that_much() -> None:
    given = policy(engine__errors__tolerance__rate="1%/5m")
    assert given.is_tolerant
    assert given.tolerance_rate is not None
    assert given.tolerance_rate.text == "1%/5m"


def test_a_workers_rate_bounds_those_that_tolerate_and_makes_nobody_tolerant() -> None:
    worker = {"engine.errors.tolerance.rate": "5/1m"}
    assert error_policy(worker, {"errors.tolerance": "all"}).rate == "5/1m"
    assert error_policy(worker, {"engine.errors.tolerance.rate": "9/1m"}).rate == "9/1m"
    assert not error_policy(worker, {}).is_tolerant
    assert not error_policy(worker, {"errors.tolerance": "none"}).is_tolerant


def test_a_rate_of_nothing_is_a_contradiction() -> None:
    with pytest.raises(ConfigError) as caught:
        policy(errors__tolerance="none", engine__errors__tolerance__rate="1/1m")
    [(key, text)] = caught.value.problems.items()
    assert key == "engine.errors.tolerance.rate"
    assert "errors.tolerance=all" in text


def test_every_bad_key_is_told() -> None:
    bad = {"errors.tolerance": "some", "errors.max.retries": "-2", "errors.log.enable": "maybe",
           "engine.errors.tolerance.rate": "1"}  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        error_policy({}, bad)
    assert set(caught.value.problems) == set(bad)
