"""What every connector can be told; Kafka's own words are compared in the conformance tests."""

import pytest

from engine.model.connector_config import common_keys, connector_warnings, validate_common

SOURCE = {"name": "s", "connector.class": "FileStreamSource"}
SINK = {"name": "s", "connector.class": "FileStreamSink", "topics": "t"}


def test_a_sound_configuration_has_no_problems() -> None:
    assert validate_common(SOURCE, "source") == {}
    assert validate_common(SINK, "sink") == {}


def test_every_problem_is_found_at_once() -> None:
    config = {"tasks.max": "0", "errors.tolerance": "some", "transforms": "t", "topics": "a"}
    assert set(validate_common({**config, "topics.regex": "b"}, "sink")) == {
        "name",
        "connector.class",
        "tasks.max",
        "errors.tolerance",
        "transforms.t.type",
        "topics",
        "topics.regex",
    }


def test_a_predicate_that_nobody_defines_is_a_problem() -> None:
    config = {**SOURCE, "transforms": "t", "transforms.t.type": "Filter", "predicates": "a"}
    config |= {"predicates.a.type": "RecordIsTombstone", "transforms.t.predicate": "b"}
    message = "No such predicate; predicates are: a"
    assert validate_common(config, "source") == {
        "transforms.t.predicate": [
            f"Invalid value b for configuration transforms.t.predicate: {message}"
        ]
    }


@pytest.mark.parametrize(("kind", "count"), [("source", 24), ("sink", 24)])
def test_keys_have_names_of_their_own(kind: str, count: int) -> None:
    names = [key.name for key in common_keys("source" if kind == "source" else "sink")]
    assert len(set(names)) == len(names) == count


def test_an_unknown_key_is_told_with_the_nearest_known_one() -> None:
    config = {
        **SOURCE,
        "file": "f",
        "fiel": "f",
        "task.max": "1",
        "transforms": "t",
        "transforms.t.type": "RegexRouter",
        "transforms.t.regexp": "x",
        "transforms.t.predicate": "p",
        "transforms.u.regex": "x",
        "predicates": "p",
        "predicates.p.whatever": "the class of p is not known",
        "producer.override.acks": "1",
        "consumer.override.x": "1",
        "value.converter": "JsonConverter",
        "value.converter.schemas.enabel": "false",
        "topic.creation.default.partitions": "1",
        "topic.creation.groups": "logs",
        "topic.creation.logs.include": "log.*",
        "topic.creation.lgos.partitions": "3",
        "engine.restart.max": "1",
        "engine.restart.mox": "1",
    }
    known = ["file", "topic", "transforms.t.regex", "value.converter.schemas.enable"]
    assert connector_warnings(config, "source", known, ["predicates.p."]) == [
        "unknown key fiel, did you mean file?",
        "unknown key task.max, did you mean tasks.max?",
        "unknown key transforms.t.regexp, did you mean transforms.t.regex?",
        "unknown key consumer.override.x",
        "unknown key value.converter.schemas.enabel, did you mean value.converter.schemas.enable?",
        "unknown key engine.restart.mox, did you mean engine.restart.max?",
        "unknown key transforms.u.regex: u is not in transforms",
        "unknown key topic.creation.lgos.partitions: lgos is not in topic.creation.groups",
    ]


def test_a_key_without_effect_is_told_with_the_reason() -> None:
    producer = "a sink without a dead letter queue topic has no producer"
    converter = "value.converter is not given; the worker's is used as it is"
    config = {
        **SINK,
        "producer.override.acks": "1",
        "transforms": "t",
        "transforms.t.plugin.version": "1",
        "value.converter.schemas.enable": "false",
    }
    assert connector_warnings(config, "sink", []) == [
        f"key producer.override.acks has no effect: {producer}",
        "key transforms.t.plugin.version has no effect: the version that is installed is used",
        f"key value.converter.schemas.enable has no effect: {converter}",
    ]


def test_a_dead_letter_queue_gives_a_sink_a_producer() -> None:
    queue = {"errors.deadletterqueue.topic.name": "bad"}
    config = {**SINK, **queue, "producer.override.acks": "1"}
    assert connector_warnings(config, "sink", []) == []
    assert connector_warnings({**SOURCE, **queue}, "source", []) == []


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("exactly.once.support", "REQUIRED", "delivery is at least once"),
        ("exactly.once.support", "requested", None),
        ("transaction.boundary", "interval", "delivery is at least once"),
        ("config.action.reload", "none", None),
        ("config.action.reload", "restart",
         "values of config providers are read when a task starts"),
        ("task.shutdown.graceful.timeout.ms", "1", "it is the worker's alone"),
        ("offsets.storage.topic", "t", "offsets are stored by the worker, not in a topic"),
    ],
)  # fmt: skip
def test_a_value_that_asks_for_what_is_done_anyway_is_no_warning(
    key: str, value: str, reason: str | None
) -> None:
    expected = [] if reason is None else [f"key {key} has no effect: {reason}"]
    assert connector_warnings({**SOURCE, key: value}, "source", []) == expected
