"""Questions about a cluster, asked of a real one."""

from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from engine.api.errors import ConnectError
from engine.kafka.cluster_admin import cluster_id
from engine.kafka.group_offsets import GroupOffsets
from engine.task.plan import answer_to
from engine.wire.plan_message import PlanRequest

pytestmark = pytest.mark.broker


def test_the_cluster_says_who_it_is(kafka: str) -> None:
    first = cluster_id({"bootstrap.servers": kafka})
    assert len(first) == 22
    asked = answer_to(PlanRequest("cluster_id", {"bootstrap.servers": kafka}, {}, "/nowhere"))
    assert asked.cluster_id == first


def test_offsets_of_a_sink_are_those_of_its_group(
    kafka: str, topic: str, unique: Callable[[str], str]
) -> None:
    producer = Producer({"bootstrap.servers": kafka})
    for n in range(5):
        producer.produce(topic, str(n), partition=0)
    assert producer.flush(30) == 0
    name = unique("sink")
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": f"connect-{name}"})
    consumer.commit(offsets=[TopicPartition(topic, 0, 3)], asynchronous=False)
    consumer.close()
    config = {"name": name, "connector.class": "FileStreamSink", "topics": topic}
    request = PlanRequest("offsets", {"bootstrap.servers": kafka}, dict(config), "/nowhere")
    assert answer_to(request).offsets == (
        ({"kafka_topic": topic, "kafka_partition": 0}, {"kafka_offset": 3}),
    )


def test_a_group_that_never_was_has_no_offsets(kafka: str, unique: Callable[[str], str]) -> None:
    assert GroupOffsets({"bootstrap.servers": kafka}, {}, unique("sink")).all() == {}


def test_a_cluster_that_does_not_answer_is_told_in_a_sentence() -> None:
    with pytest.raises(ConnectError, match="no cluster id: "):
        cluster_id({"bootstrap.servers": "127.0.0.1:1"})
