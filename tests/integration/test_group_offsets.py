"""Offsets of a sink's group, changed in a real cluster."""

from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from engine.api.errors import ConnectError
from engine.api.record import TopicPartition
from engine.kafka.group_offsets import GroupOffsets
from tests.system.running_engine import wait_for

pytestmark = pytest.mark.broker


@pytest.fixture
def partitions(kafka: str, topic: str) -> list[TopicPartition]:
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, 3, 1)])[topic].result(30)
    return [TopicPartition(topic, number) for number in range(3)]


@pytest.fixture
def group(kafka: str, unique: Callable[[str], str]) -> GroupOffsets:
    return GroupOffsets({"bootstrap.servers": kafka}, {}, unique("sink"))


def test_offsets_are_set_and_single_ones_forgotten(
    group: GroupOffsets, partitions: list[TopicPartition]
) -> None:
    first, second, third = partitions
    group.alter({first: 5, second: 6})
    assert group.all() == {first: 5, second: 6}
    group.alter({first: None, third: 7, second: 8})
    assert group.all() == {second: 8, third: 7}
    group.alter({first: None})  # nothing was committed for it
    assert group.all() == {second: 8, third: 7}
    group.reset()
    assert group.all() == {}
    group.reset()  # there is no such group


def test_a_partition_that_is_not_there_is_refused_and_nothing_forgotten(
    group: GroupOffsets, partitions: list[TopicPartition]
) -> None:
    group.alter({partitions[0]: 5})
    absent = TopicPartition(partitions[0].topic, 99)
    with pytest.raises(ConnectError, match=r"Failed to alter consumer group offsets .*-99: "):
        group.alter({absent: 1, partitions[0]: None})
    assert group.all() == {partitions[0]: 5}


def test_a_group_with_members_is_left_alone(
    kafka: str, topic: str, partitions: list[TopicPartition], unique: Callable[[str], str]
) -> None:
    name = unique("sink")
    group = GroupOffsets({"bootstrap.servers": kafka}, {}, name)
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(topic, b"x", partition=0)
    assert producer.flush(30) == 0
    member = Consumer(
        {"bootstrap.servers": kafka, "group.id": f"connect-{name}", "auto.offset.reset": "earliest"}
    )
    member.subscribe([topic])
    try:
        wait_for(lambda: member.poll(0.1))
        with pytest.raises(ConnectError, match="tasks haven't stopped completely yet"):
            group.alter({partitions[0]: 1})
        with pytest.raises(ConnectError, match="tasks haven't stopped completely yet"):
            group.reset()
    finally:
        member.close()


def test_offsets_that_could_not_be_set_again_are_told(
    group: GroupOffsets, partitions: list[TopicPartition], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library cannot forget a single partition, so the cluster may be gone in between."""
    first, second, _ = partitions
    group.alter({first: 5, second: 6})
    reset = group.reset

    def reset_and_lose_the_cluster() -> None:
        reset()
        monkeypatch.setattr(
            group, "_admin", GroupOffsets({"bootstrap.servers": "127.0.0.1:1"}, {}, "x")._admin
        )

    monkeypatch.setattr(group, "reset", reset_and_lose_the_cluster)
    with pytest.raises(ConnectError) as caught:
        group.alter({first: None})
    pair = f'{{"kafka_topic":"{second.topic}","kafka_partition":1}},"offset":{{"kafka_offset":6}}'
    assert str(caught.value).endswith(f'were to stay: {{"offsets":[{{"partition":{pair}}}]}}')
