"""A rate with bursts."""

from engine.model.token_bucket import TokenBucket


def test_a_burst_may_be_taken_at_once_and_then_only_the_rate() -> None:
    bucket = TokenBucket(rate=10, burst=30)
    assert bucket.take(30, now=100.0)
    assert not bucket.take(1, now=100.0)
    assert bucket.take(5, now=100.5)
    assert not bucket.take(1, now=100.5)


def test_it_never_holds_more_than_the_burst() -> None:
    bucket = TokenBucket(rate=10, burst=30)
    assert bucket.available(now=0.0) == 30
    assert bucket.available(now=1e6) == 30
    assert not bucket.take(31, now=1e6)


def test_what_is_refused_costs_nothing() -> None:
    bucket = TokenBucket(rate=1, burst=10)
    assert not bucket.take(11, now=0.0)
    assert bucket.take(10, now=0.0)
