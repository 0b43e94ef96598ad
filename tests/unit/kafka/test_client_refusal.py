"""What the client library refuses, told with the keys and the values that somebody wrote."""

import threading

import pytest

from engine.api.errors import ConfigError
from engine.kafka.client_config import ClientConfig, consumer_config, producer_config
from engine.kafka.client_refusal import client_problems
from engine.kafka.consumer import RebalanceListener, TaskConsumer
from engine.kafka.producer import TaskProducer

WORKER = {"bootstrap.servers": "127.0.0.1:9092"}
CONNECTOR = {"name": "c"}


def producing(keys: dict[str, str]) -> ClientConfig:
    override = {f"producer.override.{key}": value for key, value in keys.items()}
    return producer_config(WORKER, CONNECTOR | override, "id")


def problems_of(keys: dict[str, str]) -> dict[str, str]:
    override = {f"producer.override.{key}": value for key, value in keys.items()}
    return client_problems(WORKER, CONNECTOR | override, "producer")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("compression.type", "zip", ": String must be one of: none, gzip, snappy, lz4, zstd"),
        ("retries", "-5", ": expected 0 to 2147483647"),
        ("max.request.size", "5", ": expected 1000 to 1000000000"),
        ("buffer.memory", "5000000000000", ": Value must be at most 2199023254528"),
        ("security.protocol", "none",
         ": String must be one of: PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ("enable.idempotence", "maybe", ": Expected value to be either true or false"),
        ("debug", "everything", ""),
    ],
)  # fmt: skip
def test_a_value_that_the_client_refuses_is_told_with_its_key(
    key: str, value: str, expected: str
) -> None:
    """librdkafka itself speaks of some properties by names that nobody wrote."""
    name = f"producer.override.{key}"
    said = {name: f"Invalid value {value} for configuration {name}{expected}"}
    assert problems_of({key: value}) == said
    with pytest.raises(ConfigError) as caught:
        TaskProducer(producing({key: value}), lambda: False)
    assert caught.value.problems == said


def test_every_bad_key_is_told_at_once_and_no_client_is_made_for_it() -> None:
    keys = {
        "max.requst.size": "5", "compression.type": "zip", "security.protocol": "none",
        "stats_cb": "print", "default.topic.config": "acks=1", "retries": "3",
    }  # fmt: skip
    before = threading.active_count()
    found = problems_of(keys)
    assert threading.active_count() == before
    prefix = "producer.override."
    assert set(found) == {prefix + key for key in keys} - {f"{prefix}retries"}
    assert found[f"{prefix}max.requst.size"] == (
        f"Unknown configuration {prefix}max.requst.size, did you mean {prefix}max.request.size?"
    )
    assert found[f"{prefix}stats_cb"] == f"Unknown configuration {prefix}stats_cb"
    with pytest.raises(ConfigError) as caught:
        TaskProducer(producing(keys), lambda: False)
    assert caught.value.problems == found


def test_values_that_do_not_fit_each_other_are_told_with_their_keys() -> None:
    with pytest.raises(ConfigError) as caught:
        TaskProducer(
            producing({"reconnect.backoff.ms": "900", "reconnect.backoff.max.ms": "10"}),
            lambda: False,
        )
    reason = "`reconnect.backoff.max.ms` must be >= `reconnect.backoff.ms`"
    prefix = "producer.override.reconnect.backoff"
    assert caught.value.problems == {
        f"{prefix}.max.ms": f"Invalid value 10 for configuration {prefix}.max.ms: {reason}",
        f"{prefix}.ms": f"Invalid value 900 for configuration {prefix}.ms: {reason}",
    }


def test_a_consumers_keys_are_tried_too(listener: RebalanceListener) -> None:
    override = "consumer.override."
    connector = CONNECTOR | {
        f"{override}isolation.level": "dirty", f"{override}fetch.max.bites": "1",
        f"{override}max.poll.records": "5", f"{override}group.protocol": "consumer",
    }  # fmt: skip
    found = client_problems(WORKER, connector, "consumer")
    assert set(found) == {f"{override}isolation.level", f"{override}fetch.max.bites"}
    with pytest.raises(ConfigError) as caught:
        TaskConsumer(consumer_config(WORKER, connector, "id", "c-0"), listener)
    assert caught.value.problems == found


def test_a_refused_secret_is_not_shown() -> None:
    found = problems_of({"ssl.keystore.key": "hush-hush\0"})
    assert "hush" not in str(found)


@pytest.fixture
def listener() -> RebalanceListener:
    from engine.kafka.consumer import _NobodyListens

    return _NobodyListens()
