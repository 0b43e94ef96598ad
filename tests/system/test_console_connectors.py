"""Connectors without a file: standard input and standard output are the service's own."""

import json
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer

from tests.system.running_engine import RunningEngine, wait_for

pytestmark = [pytest.mark.broker, pytest.mark.system]

SINK = {"connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector"}
SOURCE = {"connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector"}


class Reader:
    """Reads the service's standard output, from a pipe, all the time."""

    def __init__(self) -> None:
        self._read_fd, self.write_fd = os.pipe()
        self._chunks: list[bytes] = []
        self._thread = threading.Thread(target=self._read)

    def begin(self) -> None:
        """Read from now on; nobody else writes but those who have the pipe by now."""
        os.close(self.write_fd)
        self._thread.start()

    def _read(self) -> None:
        while chunk := os.read(self._read_fd, 1 << 16):
            self._chunks.append(chunk)

    def has(self, line: bytes) -> bool:
        """Whether this line has come."""
        return b"\n" + line + b"\n" in b"".join(self._chunks[-100:])

    def lines(self) -> list[bytes]:
        return b"".join(self._chunks).split(b"\n")[:-1]

    def end(self) -> None:
        """Wait until everybody has let go of the pipe."""
        self._thread.join(30)
        assert not self._thread.is_alive()
        os.close(self._read_fd)


def records(count: int) -> list[bytes]:
    """What a log would change: a flood, blanks, long lines, what looks like an event, bytes."""
    odd = [b"", b"  ", b"\xff\xfe no text", b'{"event":"mine","level":"error"}', b"\x1e{}", b"\t"]
    long = [bytes([97 + i]) * 9_000 for i in range(20)] + [b"z" * 300_000]
    return [*odd, *long, *(b"record %06d " % i + b"." * 1000 for i in range(count))]


def send(kafka: str, topic: str, values: Sequence[bytes]) -> None:
    producer = Producer({"bootstrap.servers": kafka, "queue.buffering.max.messages": 1_000_000})
    for value in values:
        producer.produce(topic, value, partition=0)
    assert producer.flush(30) == 0


def is_event(line: bytes) -> bool:
    """Whether this is a line of the engine's own log."""
    return line.startswith(b'{"timestamp":') and b'"logger":' in line


def console_sink(path: Path, kafka: str, topic: str) -> RunningEngine:
    worker = {"bootstrap.servers": kafka, "offset.flush.interval.ms": 200}
    byte_array = "org.apache.kafka.connect.converters.ByteArrayConverter"
    sink = {**SINK, "topics": topic, "tasks.max": 1, "value.converter": byte_array}
    return RunningEngine(path / "engine", worker, {topic: sink})


def test_records_reach_standard_output_complete_and_unchanged_beside_the_log(
    tmp_path: Path, kafka: str, topic: str
) -> None:
    """More than the log may have, and in forms that the log would not leave as they are."""
    sent = records(14_000)
    send(kafka, topic, sent)
    engine = console_sink(tmp_path, kafka, topic)
    reader = Reader()
    with engine.ended(), engine.stderr.open("ab") as stderr:
        engine.process = subprocess.Popen(
            engine.command, cwd=engine.directory, stdin=subprocess.DEVNULL, stdout=reader.write_fd,
            stderr=stderr, process_group=0,
        )  # fmt: skip
        reader.begin()
        engine.wait_ready()
        wait_for(lambda: reader.has(sent[-1]))
        pid = engine.task(topic)["pid"]
        assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
        assert engine.stop() == 0
        reader.end()

    assert [line for line in reader.lines() if not is_event(line)] == sent
    events = [json.loads(line) for line in reader.lines() if is_event(line)]
    assert "stopped" in [event["event"] for event in events]
    assert not (engine.data_dir / "logs" / f"{topic}-0.log").exists()  # nothing was logged


def test_an_output_that_nobody_reads_stops_its_sink_alone_and_nothing_is_missing_later(
    tmp_path: Path, kafka: str, topic: str
) -> None:
    sent = records(500)
    send(kafka, topic, sent)
    engine = console_sink(tmp_path, kafka, topic)
    reader = Reader()
    with engine.ended(), engine.stderr.open("ab") as stderr:
        engine.process = subprocess.Popen(
            engine.command, cwd=engine.directory, stdin=subprocess.DEVNULL, stdout=reader.write_fd,
            stderr=stderr, process_group=0,
        )  # fmt: skip
        engine.wait_ready()
        engine.wait_condition(topic, "standard output is read slowly or not at all")
        assert engine.task(topic)["state"] == "RUNNING"
        assert engine.ask("/engine/worker").body["loop_lag_seconds"] < 5
        reader.begin()
        wait_for(lambda: reader.has(sent[-1]))
        engine.wait_condition_over(topic, "standard output")
        assert engine.task(topic)["generation"] & 0xFFFFFFFF == 1
        assert engine.stop() == 0
        reader.end()

    assert [line for line in reader.lines() if not is_event(line)] == sent


def test_an_output_whose_reader_is_gone_ends_its_sink_and_not_the_service(
    tmp_path: Path, kafka: str, topic: str
) -> None:
    send(kafka, topic, [b"nobody reads this"])
    engine = console_sink(tmp_path, kafka, topic)
    read_fd, write_fd = os.pipe()
    with engine.ended(), engine.stderr.open("ab") as stderr:
        engine.process = subprocess.Popen(
            engine.command, cwd=engine.directory, stdin=subprocess.DEVNULL, stdout=write_fd,
            stderr=stderr, process_group=0,
        )  # fmt: skip
        os.close(write_fd)
        os.close(read_fd)
        wait_for(lambda: "nobody reads standard output" in str(engine.task(topic)["reason"]))
        assert engine.ask("/health").status in (200, 503)
        assert engine.stop() == 0
        assert not engine.survivors()


def test_lines_of_standard_input_become_records_and_only_their_source_can_read_them(
    tmp_path: Path, kafka: str, topic: str, unique: Callable[[str], str]
) -> None:
    path = tmp_path / "elsewhere"
    path.write_text("another line\n")
    other = {**SOURCE, "topic": unique("other"), "file": path}
    engine = RunningEngine(
        tmp_path / "engine", {"bootstrap.servers": kafka, "offset.flush.interval.ms": 200},
        {"typed": {**SOURCE, "topic": topic}, "other": other},
    )  # fmt: skip
    read_fd, write_fd = os.pipe()
    with engine.ended():
        engine.start(stdin=read_fd)
        os.close(read_fd)
        os.write(write_fd, b"first\n\nth\xc3\xafrd\n")
        engine.wait_ready()
        assert consumed(kafka, topic, 3) == [b"first", b"", "thïrd".encode()]
        other_pid = engine.task("other")["pid"]
        assert os.readlink(f"/proc/{other_pid}/fd/0") == "/dev/null"
        os.close(write_fd)
        engine.wait_condition("typed", "standard input has ended")
        assert engine.stop() == 0


def consumed(kafka: str, topic: str, count: int) -> list[bytes | None]:
    """The first values of a topic."""
    consumer = Consumer(
        {"bootstrap.servers": kafka, "group.id": topic, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    found: list[bytes | None] = []

    def enough() -> bool:
        found.extend(m.value() for m in consumer.consume(count, 0.5) if m.error() is None)
        return len(found) >= count

    try:
        wait_for(enough)
    finally:
        consumer.close()
    return found
