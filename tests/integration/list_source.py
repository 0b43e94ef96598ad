"""A source that brings lists of lines, and what a test of a source loop needs around it."""

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from engine.api import STRING, Column, SourceBatch, SourceRecord, SourceTask
from engine.storage.offset_store import OffsetStore
from tests.integration.loop_driver import PATIENCE


class ListSource(SourceTask):
    """Brings lists of lines, one batch a poll, from where the last process committed."""

    def __init__(self, topic: str, batches: Sequence[Any]) -> None:
        self.topic = topic
        self.batches = batches
        self.commits = 0
        self.stopped = False
        self.at = 0
        self.started = threading.Event()
        self.failure: BaseException | None = None

    def start(self, config: Mapping[str, str]) -> None:
        found = self.context.offset_storage_reader().offset({"list": 1})
        self.at = found["batch"] if found else 0
        self.started.set()

    def poll(self) -> SourceBatch | Sequence[SourceRecord] | None:
        if self.failure:
            raise self.failure
        if self.at >= len(self.batches):
            return None
        found = self.batches[self.at]
        self.at += 1
        if not isinstance(found, list) or not all(isinstance(each, bytes) for each in found):
            return found  # type: ignore[no-any-return]
        return SourceBatch(
            self.topic,
            Column(found, STRING, utf8=True),
            source_partition={"list": 1},
            source_offset={"batch": self.at},
        )

    def commit(self) -> None:
        self.commits += 1

    def stop(self) -> None:
        self.stopped = True


def config(name: str, **more: str) -> dict[str, str]:
    return {"name": name} | {k.replace("__", "."): v for k, v in more.items()}


def worker(kafka: str, **more: str) -> dict[str, str]:
    return {"bootstrap.servers": kafka, "offset.flush.interval.ms": "200"} | more


def stored(data_dir: Path, name: str) -> Mapping[str, Any] | None:
    return OffsetStore(data_dir, name).offset({"list": 1})


def read_all(kafka: str, topic: str, count: int, partitions: int = 1) -> list[Any]:
    """The first ``count`` messages of a topic."""
    consumer = Consumer({
        "bootstrap.servers": kafka, "group.id": f"reader-{topic}", "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    })  # fmt: skip
    consumer.assign([TopicPartition(topic, each, 0) for each in range(partitions)])
    found: list[Any] = []
    deadline = time.monotonic() + PATIENCE
    try:
        while len(found) < count:
            assert time.monotonic() < deadline, f"only {len(found)} of {count} came"
            found += [m for m in consumer.consume(10_000, 0.2) if m.error() is None]
    finally:
        consumer.close()
    return found


def values(messages: list[Any]) -> list[bytes]:
    return [m.value() for m in messages]
