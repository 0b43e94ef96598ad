"""What a worker can be told."""

import pytest

from engine.api.config import keys_of, parse
from engine.api.errors import ConfigError
from engine.model.cluster_config import ClusterConfig
from engine.model.ignored_key import WORKER
from engine.model.restart_policy import RestartPolicy
from engine.model.supervision_config import supervision
from engine.model.worker_config import WorkerConfig, worker_warnings

LEAST = {"key.converter": "StringConverter", "value.converter": "StringConverter"}


def test_defaults_are_kafkas() -> None:
    config = parse(WorkerConfig, LEAST)
    assert config.bootstrap_servers == ("localhost:9092",)
    assert config.offset_flush_interval == 60.0
    assert config.offset_flush_timeout == 5.0
    assert config.task_shutdown_graceful_timeout == 5.0
    assert config.listeners == ("http://:8083",)
    assert config.header_converter.endswith("SimpleHeaderConverter")
    assert config.topic_creation_enable
    assert config.restart_policy_of() == RestartPolicy()


def test_every_problem_is_found_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(
            WorkerConfig,
            {
                "key.converter": "StringConverter",
                "offset.flush.interval.ms": "soon",
                "engine.restart.jitter": "2",
                "engine.log.format": "xml",
            },
        )
    assert caught.value.problems == {
        "value.converter": 'Missing required configuration "value.converter" which has no default '
        "value.",
        "offset.flush.interval.ms": "Invalid value soon for configuration "
        "offset.flush.interval.ms: Not a number of type LONG",
        "engine.restart.jitter": "Invalid value 2.0 for configuration engine.restart.jitter: "
        "Value must be between 0 and 1",
        "engine.log.format": "Invalid value xml for configuration engine.log.format: "
        "String must be one of: auto, json, console",
    }


def test_a_connector_may_change_the_restart_policy() -> None:
    worker = {"engine.restart.max": "3", "engine.restart.delay.ms": "500"}
    policy = supervision(worker, {"engine.restart.delay.ms": "0", "name": "x"}).restart
    assert policy == RestartPolicy(delay=0.0, max_restarts=3)


def test_a_wrong_restart_policy_names_its_key() -> None:
    with pytest.raises(ConfigError) as caught:
        supervision({}, {"engine.restart.policy": "sometimes"})
    assert "never, on-failure, always" in caught.value.problems["engine.restart.policy"]


def test_restarts_without_a_limit_are_another_policy() -> None:
    with pytest.raises(ConfigError) as caught:
        supervision({}, {"engine.restart.max": "1001"})
    assert caught.value.problems["engine.restart.max"].endswith(
        "Value must be no more than 1000; engine.restart.policy=always knows no limit"
    )


def test_an_unknown_key_is_told_with_the_nearest_known_one() -> None:
    config = {
        **LEAST,
        "ofset.flush.interval.ms": "1",
        "engine.log.fromat": "json",
        "zzz": "1",
        "producer.linger.ms": "5",
        "key.converter.schemas.enable": "false",
        "config.providers.file.class": "x",
        "offset.storage.file.filename": "o",
        "sasl.mechanism": "PLAIN",
    }
    assert worker_warnings(config) == [
        "unknown key ofset.flush.interval.ms, did you mean offset.flush.interval.ms?",
        "unknown key engine.log.fromat, did you mean engine.log.format?",
        "unknown key zzz",
    ]


def test_a_key_without_effect_is_told_with_the_reason() -> None:
    alone = "this worker stands alone, there is no cluster of workers"
    config = {
        **LEAST,
        "plugin.path": "/usr/share/java",
        "rest.extension.classes": "x.Y",
        "listeners.https.ssl.key.password": "secret",
        "group.id": "connect",
        "offset.storage.topic": "o",
        "value.converter.plugin.version": "1",
    }
    assert worker_warnings(config) == [
        "key plugin.path has no effect: plugins are installed Python distributions",
        "key rest.extension.classes has no effect: REST extensions are not served",
        "key listeners.https.ssl.key.password has no effect: HTTPS is not served",
        f"key group.id has no effect: {alone}",
        f"key offset.storage.topic has no effect: {alone}",
        "key value.converter.plugin.version has no effect: the version that is installed is used",
    ]


def test_every_key_of_a_worker_is_used_or_told_to_have_no_effect() -> None:
    """Keys that are declared are read by somebody; the others are in the table of ignored ones."""
    declared = {k.name for k in keys_of(WorkerConfig)}
    assert declared.isdisjoint(WORKER)
    assert [w for key in declared for w in worker_warnings({key: "1"})] == []


@pytest.mark.parametrize("text", ["", " ", ","])
def test_no_broker_at_all_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(ClusterConfig, {"bootstrap.servers": text})
    assert "for configuration bootstrap.servers: expected host:port" in str(caught.value)
