"""A sink that keeps what it is given, and what a test of a sink loop needs around it."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from engine.api import SinkBatch, SinkTask, TopicPartition


class ListSink(SinkTask):
    """Keeps what it is given, in memory."""

    def __init__(self) -> None:
        self.records: list[tuple[str, int, int, Any]] = []
        self.opened: list[frozenset[TopicPartition]] = []
        self.closed: list[frozenset[TopicPartition]] = []
        self.flushed: list[Mapping[TopicPartition, int]] = []
        self.failure: Exception | None = None
        self.flush_failure: Exception | None = None
        self.begin_at: dict[TopicPartition, int] = {}
        self.attempts: list[int] = []
        self.on_put: Callable[[SinkBatch], None] | None = None
        self.started = threading.Event()
        self.stopped = False

    def start(self, config: Mapping[str, str]) -> None:
        self.started.set()

    def open(self, partitions: frozenset[TopicPartition]) -> None:
        self.opened.append(partitions)
        if self.begin_at:
            self.context.offset(self.begin_at)

    def put(self, batch: SinkBatch) -> None:
        if len(batch):
            self.attempts.append(len(batch))
            if self.failure:
                raise self.failure
        if self.on_put:
            self.on_put(batch)
        self.records += [(r.topic, r.partition, r.offset, r.value) for r in batch.records()]

    def flush(self, offsets: Mapping[TopicPartition, int]) -> None:
        if self.flush_failure:
            raise self.flush_failure
        self.flushed.append(offsets)

    def close(self, partitions: frozenset[TopicPartition]) -> None:
        self.closed.append(partitions)

    def stop(self) -> None:
        self.stopped = True

    def values(self) -> list[Any]:
        return [value for *_, value in self.records]


def config(name: str, topics: str, **more: str) -> dict[str, str]:
    return {"name": name, "topics": topics} | {k.replace("__", "."): v for k, v in more.items()}


def worker(kafka: str, **more: str) -> dict[str, str]:
    return {"bootstrap.servers": kafka, "offset.flush.interval.ms": "200"} | more


RARELY = {"offset.flush.interval.ms": "60000"}


def write(kafka: str, topic: str, lines: list[bytes], partition: int = 0) -> None:
    producer = Producer({"bootstrap.servers": kafka})
    for line in lines:
        producer.produce(topic, line, partition=partition)
        producer.poll(0)
    assert producer.flush(30) == 0


def create(
    kafka: str, topic: str, partitions: int, settings: Mapping[str, str] | None = None
) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    made = NewTopic(topic, partitions, 1, config=dict(settings or {}))
    admin.create_topics([made])[topic].result(20)


def committed(kafka: str, name: str, topic: str, partitions: int = 1) -> list[int]:
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": f"connect-{name}"})
    try:
        wanted = [ClientPartition(topic, each) for each in range(partitions)]
        return [found.offset for found in consumer.committed(wanted, timeout=20)]
    except KafkaException:  # the coordinator is still being found
        return []
    finally:
        consumer.close()
