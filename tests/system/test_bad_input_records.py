"""Records that are larger than somebody on their way takes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.system.running_engine import RunningEngine, wait_for

pytestmark = [pytest.mark.broker, pytest.mark.system]

SIZE = 2_000_000
PRODUCER_TAKES_IT = {"producer.override.max.request.size": "3000000"}
SKIP = {"errors.tolerance": "all"}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, kafka_process: Any) -> Iterator[RunningEngine]:
    worker = {"bootstrap.servers": kafka_process.address, "offset.flush.interval.ms": 100}
    with RunningEngine(tmp_path_factory.mktemp("large") / "engine", worker).running() as running:
        yield running


class Large:
    """A source with a small, a large and a small line."""

    def __init__(self, engine: RunningEngine, path: Path, topic: str) -> None:
        self.engine, self.topic, self.name = engine, topic, f"c-{topic}"
        self.file = path / "in.txt"
        self.file.write_text(f"before\n{'x' * SIZE}\nafter\n")

    def apply(self, **config: str) -> None:
        given = {"connector.class": "FileStreamSource", "file": str(self.file), "topic": self.topic}
        answer = self.engine.ask(f"/connectors/{self.name}/config", "PUT", {**given, **config})
        assert answer.status in (200, 201)

    def wait_failed(self) -> str:
        """The first line of the trace."""

        def trace() -> str | None:
            [task] = self.engine.ask(f"/connectors/{self.name}/status").body["tasks"] or [{}]
            found: str | None = task.get("trace") if task.get("state") == "FAILED" else None
            return found

        return wait_for(trace).partition("\n")[0]

    def positions(self) -> list[int]:
        return [each["offset"]["position"] for each in self.engine.offsets(self.name)]


@pytest.fixture
def large(engine: RunningEngine, tmp_path: Path, topic: str) -> Iterator[Large]:
    made = Large(engine, tmp_path, topic)
    yield made
    assert engine.ask(f"/connectors/{made.name}", "DELETE").status == 204


PRODUCER_SAYS = (
    "ToleranceExceededError: a record of {size} bytes for topic {topic} is larger than the producer"
    " takes (1048576 bytes): raise producer.override.max.request.size, and the topic's "
    "max.message.bytes with it, or make the record smaller"
)
TOPIC_SAYS = (
    "ToleranceExceededError: a record of {size} bytes for topic {topic} is larger than the topic "
    "takes (1048588 bytes): raise the topic's max.message.bytes, or make the record smaller"
)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        pytest.param({}, PRODUCER_SAYS, id="the-producer"),
        pytest.param(PRODUCER_TAKES_IT, TOPIC_SAYS, id="the-topic"),
    ],
)
def test_a_record_that_is_too_large_fails_the_task_with_what_to_change(
    large: Large, config: dict[str, str], said: str
) -> None:
    large.apply(**config)
    assert large.wait_failed() == said.format(size=SIZE, topic=large.topic)
    task = large.engine.task(large.name)
    assert task["restarts_total"] == 0, "the same record would fail again"
    assert all(position <= len("before\n") for position in large.positions())


@pytest.mark.parametrize(
    "config",
    [pytest.param({}, id="the-producer"), pytest.param(PRODUCER_TAKES_IT, id="the-topic")],
)
def test_a_record_that_is_too_large_is_skipped_and_counted_where_that_is_allowed(
    large: Large, config: dict[str, str], lines_of: Callable[[str], list[str]]
) -> None:
    large.apply(**config, **SKIP)
    wait_for(lambda: large.positions() == [large.file.stat().st_size])
    task = large.engine.task(large.name)
    assert (task["state"], task["counters"]["records_skipped"]) == ("RUNNING", 1)
    assert task["counters"]["record_errors"] == 1
    assert lines_of(large.topic) == ["before", "after"]


@pytest.fixture
def lines_of(kafka: str) -> Callable[[str], list[str]]:
    """Reads a topic of one partition to its end."""

    def read(topic: str) -> list[str]:
        consumer = Consumer({"bootstrap.servers": kafka, "group.id": "reader"})
        partition = TopicPartition(topic, 0, 0)
        try:
            consumer.assign([partition])
            _low, high = consumer.get_watermark_offsets(partition, timeout=30)
            messages = consumer.consume(high, 30)
            return [(message.value() or b"").decode() for message in messages]
        finally:
            consumer.close()

    return read
