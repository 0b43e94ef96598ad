"""A file into Kafka and out again while processes of every kind are killed: nothing is lost.

The promise is at-least-once: a kill may repeat what was moved since the last commit, in the same
order, and nothing else may happen to a line.
"""

import contextlib
import itertools
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from engine.kafka.embedded.broker_process import BrokerProcess
from tests.system.running_engine import RunningEngine, wait_for

pytestmark = [pytest.mark.broker, pytest.mark.system, pytest.mark.timeout(300)]

SEED = 20240229
ALPHABET = "abcdefghijklmnopqrstuvwxyzäöüß€😀\t ,;:-_"


def line(number: int) -> bytes:
    """A line that tells its number, and by its text whether it is whole and alone."""
    return f"{number:07} {ALPHABET[: number * 7919 % 41]} {number:07}".encode()


class GrowingFile:
    """A file of numbered lines that is written while it is copied, often up to half a line."""

    def __init__(self, path: Path, lines: Sequence[bytes], seconds: float) -> None:
        self.path = path
        self._lines = lines
        self._seconds = seconds
        self._file = path.open("wb", buffering=0)
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    @property
    def is_complete(self) -> bool:
        return not self._thread.is_alive()

    def close(self) -> None:
        self._thread.join()
        self._file.close()

    def _write(self) -> None:
        chance, pause, left = random.Random(SEED), threading.Event(), b""
        began, count = time.monotonic(), len(self._lines)
        for start in range(0, count, 1000):
            text = left + b"".join(text + b"\n" for text in self._lines[start : start + 1000])
            done = min(start + 1000, count)
            cut = len(text) - (chance.randrange(40) if done < count else 0)
            self._file.write(text[:cut])
            left = text[cut:]
            pause.wait(max(0.0, began + self._seconds * done / count - time.monotonic()))


@dataclass
class Attack:
    """Kills processes of a running engine at random; its supervisor once, and the broker is away.

    Attributes:
        kills: how often each kind of process was killed.
    """

    engine: RunningEngine
    broker: BrokerProcess
    titles: Sequence[str]
    kills: Counter[str] = field(default_factory=Counter)

    def go_on(self, until: Callable[[], bool], least: int, seconds: float) -> None:
        """Kill until it is over and enough were killed.

        Args:
            until: whether it is over.
            least: fewest kills.
            seconds: about how long those take.
        """
        chance, pause = random.Random(SEED), threading.Event()
        events = {
            least // 3: self._restart_engine,
            least * 2 // 3: self.broker.stop,
            least * 2 // 3 + 3: self.broker.start,
        }
        for number in itertools.count():
            if number >= least and until():
                return
            if number in events:
                events[number]()
            self._kill(chance.choice(self.titles))
            pause.wait(chance.uniform(0.2, 1.8) * seconds / least)

    def _kill(self, title: str) -> None:
        pid = wait_for(lambda: self.engine.pid_of(title))
        os.kill(pid, signal.SIGKILL)
        self.kills[title] += 1

    def _restart_engine(self) -> None:
        self.engine.kill()
        self.kills["supervisor"] += 1
        self.engine.start()

    def starts(self, title: str) -> int:
        """How many processes of a kind there were."""
        return sum(n for t, n in self.kills.items() if t.startswith((title, "supervisor"))) + 1


class Topic:
    """A topic as it is in the broker."""

    def __init__(self, address: str, name: str, partitions: int) -> None:
        self.name = name
        self._address = address
        self._partitions = [TopicPartition(name, number, 0) for number in range(partitions)]
        admin = AdminClient({"bootstrap.servers": address})
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(30)

    @contextlib.contextmanager
    def _consumer(self) -> Iterator[Consumer]:
        consumer = Consumer({"bootstrap.servers": self._address, "group.id": "lines-check"})
        try:
            yield consumer
        finally:
            consumer.close()

    def ends(self) -> dict[int, int]:
        """End offsets by partition."""
        with self._consumer() as consumer:
            return {
                p.partition: consumer.get_watermark_offsets(p, timeout=30)[1]
                for p in self._partitions
            }

    def numbers(self, lines: Sequence[bytes]) -> list[list[int]]:
        """The lines' numbers by partition, in order of offsets."""
        found: list[list[int]] = [[] for _ in self._partitions]
        left = sum(self.ends().values())
        with self._consumer() as consumer:
            consumer.assign(self._partitions)
            while left:
                messages = consumer.consume(min(left, 100_000), 30)
                assert messages, f"{left} records of {self.name} did not come"
                for message in messages:
                    number = number_of(message.value() or b"", lines)
                    found[message.partition() or 0].append(number)
                left -= len(messages)
        return found


def number_of(text: bytes, lines: Sequence[bytes]) -> int:
    """The number of a line, which must be whole and alone."""
    digits = text[:7]
    assert digits.isdigit(), f"torn or glued: {text!r}"
    assert text == lines[int(digits)], f"torn or glued: {text!r}"
    return int(digits)


def numbers_in(path: Path, lines: Sequence[bytes]) -> list[int]:
    written = path.read_bytes()
    assert written.endswith(b"\n"), "the last line is torn"
    return [number_of(text, lines) for text in written[:-1].split(b"\n")]


def jumps_back(numbers: Sequence[int]) -> int:
    return sum(after <= before for before, after in itertools.pairwise(numbers))


def rewinds(topic: Sequence[int], written: Sequence[int]) -> int:
    """How often the sink must have gone back in the topic to have written this; it never skips."""
    latest: dict[int, int] = {}
    known, at, count = 0, -1, 0
    for number in written:
        at += 1
        if at >= len(topic) or topic[at] != number:
            assert number in latest, f"line {number} was written before it was its turn"
            at, count = latest[number], count + 1
        if at == known:
            latest[number] = known
            known += 1
    assert known == len(topic), "the end of the topic was not written"
    return count


def keeps_order(topic: Sequence[Sequence[int]], written: Sequence[int]) -> bool:
    """Whether lines that are in the topic once were first written in their partition's order."""
    copies = Counter(itertools.chain.from_iterable(topic))
    place = {number: index for index, number in enumerate(dict.fromkeys(written))}
    places = [[place[n] for n in partition if copies[n] == 1] for partition in topic]
    return all(jumps_back(each) == 0 for each in places)


def is_moved(engine: RunningEngine, file: Path, topic: Topic) -> bool:
    """Whether the committed offsets are the file's size and the topic's end."""
    source = engine.offsets("lines-in")
    if not source or source[0]["offset"]["position"] != file.stat().st_size:
        return False
    committed = {
        each["partition"]["kafka_partition"]: each["offset"]["kafka_offset"]
        for each in engine.offsets("lines-out")
    }
    return committed == {number: end for number, end in topic.ends().items() if end}


def engine_between(file: Path, out: Path, topic: Topic, address: str, tasks: int) -> RunningEngine:
    worker = {
        "bootstrap.servers": address, "offset.flush.interval.ms": 100,
        "engine.restart.delay.ms": 50, "engine.restart.delay.max.ms": 200,
        "engine.restart.policy": "always",
    }  # fmt: skip
    source = {
        "connector.class": "FileStreamSource", "file": file, "topic": topic.name,
        "engine.file.read.bytes": 65536,
    }  # fmt: skip
    sink = {
        "connector.class": "FileStreamSink", "file": out, "topics": topic.name,
        "tasks.max": tasks, "consumer.override.max.poll.records": 500,
    }  # fmt: skip
    return RunningEngine(out.parent / "engine", worker, {"lines-in": source, "lines-out": sink})


@pytest.mark.parametrize(
    ("count", "partitions", "kills", "seconds"),
    [
        pytest.param(1_000_000, 1, 36, 30.0, id="a-million-lines"),
        pytest.param(200_000, 3, 15, 10.0, id="three-partitions"),
    ],
)
def test_nothing_is_lost_whatever_is_killed(
    own_kafka: BrokerProcess,
    tmp_path: Path,
    count: int,
    partitions: int,
    kills: int,
    seconds: float,
) -> None:
    lines = [line(number) for number in range(count)]
    topic = Topic(own_kafka.address, "lines", partitions)
    path, out = tmp_path / "in.txt", tmp_path / "out.txt"
    tasks = min(partitions, 2)
    engine = engine_between(path, out, topic, own_kafka.address, tasks)
    sinks = [f"task lines-out-{number}" for number in range(tasks)]
    moving = ("task lines-in-0", *sinks)
    attack = Attack(engine, own_kafka, (*moving, *moving, "engine: herder", "zygote"))
    with engine.running():
        file = GrowingFile(path, lines, seconds)
        try:
            attack.go_on(lambda: file.is_complete, kills, seconds)
        finally:
            file.close()
        wait_for(lambda: is_moved(engine, path, topic), 60.0)
        assert engine.survivors(), "processes are not found, so that none can be missed"

    stored, written = topic.numbers(lines), numbers_in(out, lines)
    everything = list(itertools.chain.from_iterable(stored))
    print(
        f"\n{count} lines, {attack.kills.total()} kills {dict(attack.kills)}, the broker away once:"
        f"\n  {len(everything) - count} duplicates in the topic after"
        f" {sum(map(jumps_back, stored))} jumps back, {len(written) - count} in the file after"
        f" {jumps_back(written)}"
    )
    assert attack.kills.total() >= kills
    assert set(everything) == set(written) == set(range(count))
    source_starts = attack.starts("task lines-in")
    assert all(jumps_back(partition) < source_starts for partition in stored)
    assert keeps_order(stored, written)
    if partitions == 1:
        assert list(dict.fromkeys(everything)) == list(range(count))
        assert rewinds(stored[0], written) < attack.starts("task lines-out")
