"""A sink connector that is given other topics reads them at once, and reads on in the old ones."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.system.running_engine import RunningEngine, properties, wait_for

pytestmark = [pytest.mark.broker, pytest.mark.system]


class Sink:
    """A sink connector and what it has written."""

    def __init__(self, path: Path, kafka: str, name: str, topics: Sequence[str]) -> None:
        self.name = name
        self.out = path / "out.txt"
        self._kafka = kafka
        self.engine = RunningEngine(
            path / "engine",
            {"bootstrap.servers": kafka, "offset.flush.interval.ms": 100},
            {name: self.config(topics)},
        )

    def config(self, topics: Sequence[str]) -> dict[str, object]:
        return {
            "connector.class": "FileStreamSink", "file": str(self.out), "tasks.max": "2",
            "topics": ",".join(topics), "consumer.override.session.timeout.ms": "6000",
        }  # fmt: skip

    def send(self, topic: str, line: str) -> None:
        producer = Producer({"bootstrap.servers": self._kafka})
        producer.produce(topic, line.encode())
        assert producer.flush(30) == 0

    def wait_written(self, *lines: str) -> None:
        """Wait until all are there; something may be there twice after a restart."""
        wait_for(lambda: self.out.exists() and set(self.out.read_text().splitlines()) == {*lines})


def test_topics_changed_by_request_are_read_without_waiting_for_a_session_to_end(
    tmp_path: Path, kafka: str, unique: Callable[[str], str]
) -> None:
    one, two, three = (unique(name) for name in ("one", "two", "three"))
    sink = Sink(tmp_path, kafka, unique("sink"), [one])
    with sink.engine.running():
        sink.send(one, "a")
        sink.send(two, "b")
        sink.wait_written("a")
        sink.engine.ask(f"/connectors/{sink.name}/config", "PUT", sink.config([one, two]))
        sink.wait_written("a", "b")
        sink.send(one, "c")
        sink.wait_written("a", "b", "c")
        sink.send(three, "d")
        sink.engine.ask(f"/connectors/{sink.name}/config", "PUT", sink.config([three]))
        sink.wait_written("a", "b", "c", "d")


def test_topics_changed_in_the_file_are_read_after_the_next_start(
    tmp_path: Path, kafka: str, unique: Callable[[str], str]
) -> None:
    """The members of the engine that was stopped are there until their sessions end."""
    one, two = unique("one"), unique("two")
    sink = Sink(tmp_path, kafka, unique("sink"), [one])
    sink.send(one, "a")
    sink.send(two, "b")
    with sink.engine.running():
        sink.wait_written("a")
    changed = {"name": sink.name, **sink.config([one, two])}
    (sink.engine.directory / f"{sink.name}.properties").write_text(properties(changed))
    with sink.engine.running():
        sink.wait_written("a", "b")
        sink.send(one, "c")
        sink.wait_written("a", "b", "c")
