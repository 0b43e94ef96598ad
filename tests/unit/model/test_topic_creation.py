"""Rules for new topics."""

import pytest

from engine.api.errors import ConfigError
from engine.model.topic_creation import TopicSettings, topic_creation

DEFAULT = {
    "topic.creation.default.partitions": "3",
    "topic.creation.default.replication.factor": "-1",
}


def test_without_rules_the_broker_makes_topics() -> None:
    assert topic_creation({"name": "c"}) is None


def test_the_first_group_that_matches_the_whole_name_wins_and_falls_back() -> None:
    rules = topic_creation(
        DEFAULT
        | {
            "topic.creation.groups": "logs, all",
            "topic.creation.logs.include": "log.*,trace",
            "topic.creation.logs.exclude": "log-old",
            "topic.creation.logs.partitions": "9",
            "topic.creation.logs.retention.ms": "5",
            "topic.creation.all.include": ".*-x",
            "topic.creation.default.cleanup.policy": "compact",
        }
    )
    assert rules is not None
    assert rules.settings("log-a-x") == TopicSettings("log-a-x", 9, -1, {"retention.ms": "5"})
    assert rules.settings("trace") == TopicSettings("trace", 9, -1, {"retention.ms": "5"})
    assert rules.settings("a-x") == TopicSettings("a-x", 3, -1, {})
    other = TopicSettings("log-old", 3, -1, {"cleanup.policy": "compact"})
    assert rules.settings("log-old") == other


def test_the_smallest_batch_that_a_group_allows_is_known() -> None:
    more = {"topic.creation.default.max.message.bytes": "7000"}
    rules, plain = topic_creation(DEFAULT | more), topic_creation(DEFAULT)
    assert rules is not None
    assert plain is not None
    assert (rules.batch_limit(), plain.batch_limit()) == (7000, None)


def test_every_problem_is_told() -> None:
    with pytest.raises(ConfigError) as caught:
        topic_creation(
            {
                "topic.creation.groups": "a,b",
                "topic.creation.a.include": "(",
                "topic.creation.b.include": "b",
                "topic.creation.b.partitions": "0",
                "topic.creation.default.partitions": "x",
            }
        )
    assert set(caught.value.problems) == {
        "topic.creation.a.include", "topic.creation.b.partitions",
        "topic.creation.default.partitions", "topic.creation.default.replication.factor",
    }  # fmt: skip
