"""Bad records of a sink, against a real broker: only they are given up, and nothing too early."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer

from engine.api import DataError, RetriableError, SinkBatch, ToleranceExceededError
from engine.kafka.embedded.broker_process import BrokerProcess
from engine.storage.dead_letter_store import DeadLetterStore
from tests.integration.list_sink import RARELY, ListSink, committed, config, worker, write
from tests.integration.loop_driver import LoopDriver, wait_until

pytestmark = pytest.mark.broker


@pytest.fixture
def name(unique: Callable[[str], str]) -> str:
    return unique("sink")


class Atomic(ListSink):
    """Refuses a batch as a whole when something in it is bad, as a transaction does."""

    def __init__(self, *bad: str) -> None:
        super().__init__()
        self.bad = set(bad)
        self.later: set[str] = set()
        self.on_put = self.refuse

    def refuse(self, batch: SinkBatch) -> None:
        bad = self.bad & set(batch.values)
        if bad:
            raise DataError(f"{min(bad)} is bad")
        later = self.later & set(batch.values)
        if later:
            self.later -= later
            raise RetriableError("not yet", retry_after=0.05)


def test_a_failed_put_costs_the_bad_records_only(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    lines = [b"%d" % i for i in range(500)]
    write(kafka, topic, lines)
    task = Atomic("3", "250", "499")
    task.later = {"251"}  # a retry in the middle of it keeps the order, too
    driver = LoopDriver(
        tmp_path, task, worker=worker(kafka), config=config(name, topic, errors__tolerance="all")
    ).start().ready()  # fmt: skip
    wait_until(lambda: committed(kafka, name, topic) == [500])
    driver.stop()
    assert task.values() == [line.decode() for line in lines if line.decode() not in task.bad]
    slot = driver.slot
    assert (slot["errors_task_put"], slot["records_skipped"], slot["records_out"]) == (3, 3, 497)
    assert slot["bytes_out"] == sum(len(value) for value in task.values())


def test_a_failed_put_ends_a_task_that_tolerates_nothing(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    write(kafka, topic, [b"a", b"bad"])
    task = Atomic("bad")
    driver = LoopDriver(tmp_path, task, worker=worker(kafka) | RARELY, config=config(name, topic))
    driver.start()
    assert driver.failed(DataError) == "bad is bad"
    assert committed(kafka, name, topic) == [-1001]


@pytest.mark.parametrize("failure", [OSError("disk full"), ConnectionRefusedError("database")])
def test_what_is_no_records_fault_ends_the_task_and_gives_nothing_up(
    kafka: str, topic: str, name: str, tmp_path: Path, failure: Exception
) -> None:
    write(kafka, topic, [b"a", b"b"])
    task = ListSink()
    task.failure = failure
    settings = config(name, topic, errors__tolerance="all")
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=settings).start()
    driver.failed(OSError)
    assert driver.slot["records_skipped"] == 0
    assert committed(kafka, name, topic) == [-1001]


def test_a_put_that_asks_too_often_for_a_retry_has_failed(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    write(kafka, topic, [b"a", b"b"])
    task = ListSink()
    task.failure = RetriableError("never", retry_after=0.01)
    settings = config(name, topic, errors__max__retries="3")
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=settings).start()
    assert driver.failed(RetriableError) == "never"
    assert len(task.attempts) == 4
    assert committed(kafka, name, topic) == [-1001]


def test_a_put_that_asks_too_long_for_a_retry_has_failed(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    write(kafka, topic, [b"a", b"b"])
    task = ListSink()
    task.failure = RetriableError("never", retry_after=0.01)
    settings = config(name, topic, engine__errors__task__retry__timeout__ms="300")
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=settings).start()
    assert driver.failed(RetriableError) == "never"
    assert len(task.attempts) > 1
    assert committed(kafka, name, topic) == [-1001]


def test_a_reported_error_ends_a_task_that_swallows_it(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    write(kafka, topic, [b"a", b"bad", b"c"])
    task = ListSink()

    def on_put(batch: SinkBatch) -> None:
        reporter = task.context.errant_record_reporter()
        assert reporter is not None
        for record in batch.records():
            if record.value == "bad":
                with pytest.raises(ToleranceExceededError):
                    reporter.report(record, DataError("no"))

    task.on_put = on_put
    settings = config(name, topic, errors__log__enable="true")
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=settings).start()
    assert driver.failed(ToleranceExceededError).endswith("TASK_PUT: no")
    assert driver.slot["errors_logged"] == 1
    assert committed(kafka, name, topic) == [-1001]


def test_a_record_is_reported_once_however_often_its_batch_is_put(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    write(kafka, topic, [b"a", b"reported", b"bad", b"c"])
    task = ListSink()

    def on_put(batch: SinkBatch) -> None:
        reporter = task.context.errant_record_reporter()
        assert reporter is not None
        for record in batch.records():
            if record.value == "reported":
                reporter.report(record, DataError("no"))
        if "bad" in batch.values:
            raise ValueError("bad")

    task.on_put = on_put
    settings = config(name, topic, errors__tolerance="all", errors__log__enable="true")
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=settings).start().ready()
    wait_until(lambda: committed(kafka, name, topic) == [4])
    driver.stop()
    assert driver.slot["errors_task_put"] == driver.slot["errors_logged"] == 2


def test_too_many_failures_for_the_rate_end_the_task(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    write(kafka, topic, [b"%d" % i for i in range(20)])
    task = Atomic("4", "9", "14")
    settings = config(name, topic, engine__errors__tolerance__rate="2/1h")
    driver = LoopDriver(tmp_path, task, worker=worker(kafka) | RARELY, config=settings).start()
    assert "3 failed, more than 2/1h" in driver.failed(ToleranceExceededError)
    assert committed(kafka, name, topic) == [-1001]


def damage(broker: int, topic: str) -> range:
    """Overwrite a part of a whole batch that this broker keeps; the offsets of its records."""
    name = f"/{topic}-0/00000000000000000000.log"
    opened = (os.readlink(each) for each in Path(f"/proc/{broker}/fd").iterdir())
    log = Path(next(path for path in opened if path.endswith(name)))
    data, start = log.read_bytes(), 0
    while True:  # the first may be cut in two, as the topic is made meanwhile
        first, length, _epoch, _magic, _crc, _attributes, last = struct.unpack(
            ">qiibIhi", data[start : start + 27]
        )
        if first > 0 and last > 40:
            break
        start += 12 + length
    with log.open("r+b") as file:
        file.seek(start + 61 + 20)  # behind the batch's header and the beginning of the gzip
        file.write(b"\0" * 40)
    return range(first, first + last + 1)


@pytest.mark.parametrize("tolerance", ["all", "none"])
def test_records_that_were_damaged_in_the_broker_are_passed_where_that_is_allowed(
    kafka_process: BrokerProcess, topic: str, name: str, tmp_path: Path, tolerance: str
) -> None:
    kafka = kafka_process.address
    whole = {"compression.type": "gzip", "linger.ms": 5_000}  # 50 records are one batch
    producer = Producer({"bootstrap.servers": kafka, **whole})
    for batch in range(4):
        for i in range(50):
            producer.produce(topic, b"%d " % (batch * 50 + i) + b"x" * 50, partition=0)
        assert producer.flush(30) == 0
    lost = damage(kafka_process.pid, topic)
    task = ListSink()
    settings = config(name, topic, errors__tolerance=tolerance)
    driver = LoopDriver(tmp_path, task, worker=worker(kafka) | RARELY, config=settings).start()
    if tolerance == "none":
        text = driver.failed(ToleranceExceededError)
        assert f"records {lost[0]} to {lost[-1]} of {topic}-0 cannot be read" in text
        return
    wait_until(lambda: len(task.records) == 200 - len(lost))
    driver.stop()
    left = [offset for offset in range(200) if offset not in lost]
    assert [offset for _, _, offset, _ in task.records] == left
    assert committed(kafka, name, topic) == [200]
    [kept] = DeadLetterStore(tmp_path, name).letters()
    assert (kept.letter.stage, kept.letter.record.offset) == ("KAFKA_CONSUME", lost[0])
    assert driver.slot["errors_kafka_consume"] == 1
