"""What every connector can be told; Kafka's own words are compared in the conformance tests."""

import pytest

from engine.model.connector_config import common_keys, unknown_connector_keys, validate_common

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
        "transforms.t.regex": "x",
        "transforms.u.regex": "x",
        "producer.override.acks": "1",
        "consumer.override.x": "1",
        "value.converter.schemas.enable": "false",
        "topic.creation.default.partitions": "1",
        "engine.restart.max": "1",
    }
    assert unknown_connector_keys(config, "source", ["file", "topic"]) == [
        "unknown key fiel, did you mean file?",
        "unknown key task.max, did you mean tasks.max?",
        "unknown key consumer.override.x",
        "unknown key transforms.u.regex: u is not in transforms",
    ]
