"""Dead letters of every stage, in both directions, against a real broker."""

import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    ResourceType,
)

from engine.api import (
    ConfigError,
    Converter,
    DataError,
    Headers,
    Schema,
    SchemaAndValue,
    SinkBatch,
    SourceRecord,
    ToleranceExceededError,
    TopicPartition,
)  # fmt: skip
from engine.api.transformation import Transformation
from engine.converters.simple_header import SimpleHeaderConverter
from engine.kafka.embedded.broker_process import BrokerProcess
from engine.model.letters.stored_letter import StoredLetter
from engine.storage.dead_letter_store import DeadLetterStore
from engine.task.transformation_chain import TransformationChain, TransformationStep
from engine.transforms.regex_router import RegexRouter
from tests.integration import list_source
from tests.integration.list_sink import RARELY, ListSink, committed, config, create, worker, write
from tests.integration.list_source import ListSource, read_all, stored
from tests.integration.loop_driver import LoopDriver, string_plugins, wait_until

pytestmark = pytest.mark.broker

QUEUE = {
    "errors.tolerance": "all",
    "errors.deadletterqueue.topic.replication.factor": "1",
    "errors.deadletterqueue.context.headers.enable": "true",
}


class Picky(Converter):
    """Text that refuses what begins with ``bad``, in either direction."""

    def from_connect_data(
        self, topic: str, schema: Schema | None, value: Any, headers: Headers = ()
    ) -> bytes | None:
        if value is not None and value.startswith("bad"):
            raise DataError(f"cannot write {value}")
        return None if value is None else str(value).encode()

    def to_connect_data(
        self, topic: str, value: bytes | None, headers: Headers = ()
    ) -> SchemaAndValue:
        if value is not None and value.startswith(b"bad"):
            raise DataError(f"cannot read {value!r}")
        return SchemaAndValue(None, None if value is None else value.decode())


class PickyHeaders(SimpleHeaderConverter):
    def to_connect_header(self, topic: str, key: str, value: bytes | None) -> SchemaAndValue:
        if value == b"bad":
            raise DataError("a bad header")
        return super().to_connect_header(topic, key, value)


class Refuses(Transformation):
    def apply(self, record: Any) -> Any:
        if record.value == "unchanged":
            raise DataError("cannot be changed")
        return record


def renamed() -> RegexRouter:
    router = RegexRouter()
    router.configure({"regex": "(.*)", "replacement": "new-$1"})
    return router


CHAIN = TransformationChain([TransformationStep(renamed()), TransformationStep(Refuses())])


@pytest.fixture
def name(unique: Callable[[str], str]) -> str:
    return unique("letters")


def headers_of(message: Any) -> dict[str, str]:
    found = dict(message.headers() or ())
    return {
        key.removeprefix("__connect.errors."): value.decode()
        for key, value in found.items()
        if key.startswith("__connect.errors.")
    }


def retention_of(kafka: str, topic: str) -> str:
    admin = AdminClient({"bootstrap.servers": kafka})
    resource = ConfigResource(ResourceType.TOPIC, topic)
    found = admin.describe_configs([resource])[resource].result(20)
    return str(found["retention.ms"].value)


def local(data_dir: Path, name: str) -> list[StoredLetter]:
    return DeadLetterStore(data_dir, name).letters()


# ---- sinks -----------------------------------------------------------------------------------


def test_a_sinks_records_of_every_stage_come_raw_with_their_context(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    create(kafka, topic, 1)
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(topic, b"v", key=b"bad key")
    producer.produce(topic, b"bad value", key=b"k", headers=[("h", b"1")], timestamp=12345)
    producer.produce(topic, b"v", headers=[("h", b"bad")])
    producer.produce(topic, b"unchanged")
    producer.produce(topic, b"not put", key=b"k")
    producer.produce(topic, b"reported")
    producer.produce(topic, b"fine")
    assert producer.flush(30) == 0
    task = ListSink()

    def on_put(batch: SinkBatch) -> None:
        reporter = task.context.errant_record_reporter()
        assert reporter is not None
        for record in batch.records():
            if record.value == "reported":
                reporter.report(record, DataError("I say so"))
        if "not put" in batch.values:
            raise ValueError("it says not put")

    task.on_put = on_put
    queue = f"{topic}-dlq"
    settings = config(name, topic, errors__deadletterqueue__topic__name=queue) | QUEUE
    picky = string_plugins(
        settings, key_converter=Picky(), value_converter=Picky(), header_converter=PickyHeaders(),
        transformations=CHAIN,
    )  # fmt: skip
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=settings, plugins=picky)
    driver.start().ready()
    wait_until(lambda: committed(kafka, name, topic) == [7])
    driver.stop()
    assert retention_of(kafka, queue) == "-1"  # it goes by the time of the records
    letters = sorted(read_all(kafka, queue, 6), key=lambda m: int(headers_of(m)["offset"]))
    assert [(m.key(), m.value()) for m in letters] == [
        (b"bad key", b"v"), (b"k", b"bad value"), (None, b"v"), (None, b"unchanged"),
        (b"k", b"not put"), (None, b"reported"),
    ]  # fmt: skip
    assert [headers_of(m)["stage"] for m in letters] == [
        "KEY_CONVERTER", "VALUE_CONVERTER", "HEADER_CONVERTER", "TRANSFORMATION", "TASK_PUT",
        "TASK_PUT",
    ]  # fmt: skip
    assert [headers_of(m)["exception.message"] for m in letters][-2:] == [
        "it says not put", "I say so",
    ]  # fmt: skip
    second = letters[1]
    assert second.timestamp()[1] == 12345
    assert second.headers()[0] == ("h", b"1")
    assert [key for key, _ in second.headers()[1:11]] == [
        f"__connect.errors.{each}"
        for each in (
            "topic", "partition", "offset", "connector.name", "task.id", "stage", "class.name",
            "exception.class.name", "exception.message", "exception.stacktrace",
        )
    ]  # fmt: skip
    told = headers_of(second)
    assert "cannot read b'bad value'" in told.pop("exception.stacktrace")
    assert told == {
        "topic": topic, "partition": "0", "offset": "1", "connector.name": name, "task.id": "0",
        "stage": "VALUE_CONVERTER", "class.name": f"{__name__}.Picky",
        "exception.class.name": "engine.api.errors.DataError",
        "exception.message": "cannot read b'bad value'",
    }  # fmt: skip
    assert task.values() == ["reported", "fine"]
    assert driver.slot["dead_letters"] == driver.slot["records_skipped"] == 6
    assert local(tmp_path, name) == []


def test_without_context_a_letter_is_the_record_and_nothing_else(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    write(kafka, topic, [b"bad"])
    queue = f"{topic}-dlq"
    settings = config(name, topic, errors__deadletterqueue__topic__name=queue)
    settings |= QUEUE | {"errors.deadletterqueue.context.headers.enable": "false"}
    driver = LoopDriver(
        tmp_path, ListSink(), worker=worker(kafka), config=settings,
        plugins=string_plugins(settings, value_converter=Picky()),
    ).start().ready()  # fmt: skip
    [letter] = read_all(kafka, queue, 1)
    driver.stop()
    assert (letter.value(), letter.key(), letter.headers()) == (b"bad", None, None)


def test_where_nothing_is_tolerated_the_first_bad_record_is_kept_and_the_task_fails(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    write(kafka, topic, [b"a", b"bad 1", b"bad 2"])
    queue = f"{topic}-dlq"
    settings = config(name, topic, errors__deadletterqueue__topic__name=queue)
    settings |= QUEUE | {"errors.tolerance": "none"}
    driver = LoopDriver(
        tmp_path, ListSink(), worker=worker(kafka), config=settings,
        plugins=string_plugins(settings, value_converter=Picky()),
    ).start()  # fmt: skip
    driver.failed(ToleranceExceededError)
    [letter] = read_all(kafka, queue, 1)
    assert letter.value() == b"bad 1"
    assert committed(kafka, name, topic) == [-1001]


class CannotClose(Refuses):
    closed = 0

    def close(self) -> None:
        self.closed += 1
        raise OSError("cannot be closed")


@pytest.mark.parametrize("kind", ["sink", "source"])
def test_plugins_that_cannot_be_closed_change_neither_the_failure_nor_its_letter(
    kind: str, kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    task: ListSink | ListSource
    queue = {"engine.errors.queue.enable": "true", "errors.tolerance": "none"}
    if kind == "sink":
        write(kafka, topic, [b"a", b"unchanged"])
        task, settings = ListSink(), config(name, topic) | queue
    else:
        task = ListSource(topic, [[b"a"], [b"unchanged"]])
        settings = list_source.config(name) | queue
    steps = [CannotClose(), CannotClose()]
    chain = TransformationChain([TransformationStep(each) for each in steps])
    driver = LoopDriver(
        tmp_path, task, worker=worker(kafka), config=settings,
        plugins=string_plugins(settings, transformations=chain),
    ).start()  # fmt: skip
    assert "cannot be changed" in driver.failed(ToleranceExceededError)
    [kept] = local(tmp_path, name)
    assert kept.letter.message == "cannot be changed"
    assert [each.closed for each in steps] == [1, 1]


def test_too_few_brokers_for_the_queues_replicas_are_a_configuration_error(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    settings = config(name, topic, errors__deadletterqueue__topic__name=f"{topic}-dlq")
    driver = LoopDriver(tmp_path, ListSink(), worker=worker(kafka), config=settings).start()
    text = driver.failed(ConfigError)
    assert (
        "Invalid value 3 for configuration errors.deadletterqueue.topic.replication.factor" in text
    )


def test_a_queue_that_exists_is_used_as_it_is(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    queue = f"{topic}-dlq"
    create(kafka, queue, 3)
    write(kafka, topic, [b"bad"])
    settings = config(name, topic, errors__deadletterqueue__topic__name=queue)
    settings |= {"errors.tolerance": "all"}  # the default of three replicas does not matter
    driver = LoopDriver(
        tmp_path, ListSink(), worker=worker(kafka), config=settings,
        plugins=string_plugins(settings, value_converter=Picky()),
    ).start().ready()  # fmt: skip
    assert len(read_all(kafka, queue, 1, partitions=3)) == 1
    driver.stop()


def test_no_offset_is_committed_before_its_letter_is_durable(
    kafka: str, own_kafka: BrokerProcess, topic: str, name: str, tmp_path: Path
) -> None:
    """The queue is in a cluster of its own, which goes away and comes back."""
    settings = config(name, topic, errors__deadletterqueue__topic__name="queue") | QUEUE
    settings["producer.override.bootstrap.servers"] = own_kafka.address
    write(kafka, topic, [b"a"])
    quick = worker(kafka) | {"offset.flush.timeout.ms": "300"}
    task = ListSink()
    driver = LoopDriver(
        tmp_path, task, worker=quick, config=settings,
        plugins=string_plugins(settings, value_converter=Picky()),
    ).start().ready()  # fmt: skip
    wait_until(lambda: committed(kafka, name, topic) == [1])
    own_kafka.kill()
    write(kafka, topic, [b"bad", b"c"])
    wait_until(lambda: driver.slot["commit_failures"] >= 2)
    assert task.values() == ["a", "c"]
    assert committed(kafka, name, topic) == [1]
    own_kafka.start()
    own_kafka.wait_ready()
    wait_until(lambda: committed(kafka, name, topic) == [3])
    driver.stop()
    assert [m.value() for m in read_all(own_kafka.address, "queue", 1)] == [b"bad"]


def test_a_letter_that_its_topic_refuses_is_kept_in_the_file(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    queue = f"{topic}-dlq"
    create(kafka, queue, 1, {"max.message.bytes": "2000"})
    large = b"bad" + b"x" * 5000
    write(kafka, topic, [b"bad and small", large, b"c"])
    settings = config(name, topic, errors__deadletterqueue__topic__name=queue) | QUEUE
    settings |= {"errors.deadletterqueue.context.headers.enable": "false"}
    driver = LoopDriver(
        tmp_path, ListSink(), worker=worker(kafka), config=settings,
        plugins=string_plugins(settings, value_converter=Picky()),
    ).start().ready()  # fmt: skip
    wait_until(lambda: committed(kafka, name, topic) == [3])
    driver.stop()
    assert [m.value() for m in read_all(kafka, queue, 1)] == [b"bad and small"]
    [kept] = local(tmp_path, name)
    assert (kept.letter.record.value, kept.letter.record.offset) == (large, 1)
    assert (driver.slot["dead_letters"], driver.slot["dead_letter_failures"]) == (2, 1)


def test_without_a_topic_letters_are_in_the_file_and_once_only(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    write(kafka, topic, [b"a", b"bad", b"c"])
    settings = config(name, topic, errors__tolerance="all")
    plugins = string_plugins(settings, value_converter=Picky())
    for generation in (1, 2):
        task = ListSink()
        task.begin_at = {TopicPartition(topic, 0): 0}  # as if nothing had been committed
        driver = LoopDriver(
            tmp_path, task, worker=worker(kafka), config=settings, plugins=plugins,
            generation=generation,
        ).start().ready()  # fmt: skip
        wait_until(lambda task=task: "c" in task.values())  # type: ignore[misc]
        driver.stop()
    assert committed(kafka, name, topic) == [3]
    [kept] = local(tmp_path, name)
    assert (kept.letter.record.topic, kept.letter.record.offset) == (topic, 1)
    assert kept.times == 2


def test_a_queue_that_is_switched_off_keeps_nothing(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    write(kafka, topic, [b"bad", b"c"])
    settings = config(name, topic, errors__tolerance="all", engine__errors__queue__enable="false")
    task = ListSink()
    driver = LoopDriver(
        tmp_path, task, worker=worker(kafka), config=settings,
        plugins=string_plugins(settings, value_converter=Picky()),
    ).start().ready()  # fmt: skip
    wait_until(lambda: committed(kafka, name, topic) == [2])
    assert task.context.errant_record_reporter() is None
    driver.stop()
    assert not (tmp_path / "dead-letters").exists()


def test_a_full_queue_fails_the_task_where_nothing_may_be_dropped(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    write(kafka, topic, [b"bad" + b"%d" % i + b"x" * 1000 for i in range(200)])
    settings = config(
        name, topic, errors__tolerance="all", engine__errors__queue__max__bytes="65536",
        engine__errors__queue__overflow="fail",
    )  # fmt: skip
    driver = LoopDriver(
        tmp_path, ListSink(), worker=worker(kafka) | RARELY, config=settings,
        plugins=string_plugins(settings, value_converter=Picky()),
    ).start().ready()  # fmt: skip
    wait_until(lambda: driver.slot["records_in"] >= 200)
    driver.runtime.is_stopping = True
    assert "the queue for dead letters is full" in driver.failed(ToleranceExceededError)
    assert committed(kafka, name, topic) == [-1001]


def test_letters_that_cannot_be_kept_now_hold_the_offset_back(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    (tmp_path / "dead-letters").write_text("in the way")
    write(kafka, topic, [b"bad", b"c"])
    settings = config(name, topic, errors__tolerance="all")
    driver = LoopDriver(
        tmp_path, ListSink(), worker=worker(kafka), config=settings,
        plugins=string_plugins(settings, value_converter=Picky()),
    ).start().ready()  # fmt: skip
    wait_until(lambda: any("dead letters cannot be kept" in (t or "") for t in driver.conditions()))
    assert committed(kafka, name, topic) == [-1001]
    (tmp_path / "dead-letters").unlink()
    wait_until(lambda: committed(kafka, name, topic) == [2])
    wait_until(lambda: driver.conditions()[-1] is None)
    driver.stop()
    assert len(local(tmp_path, name)) == 1


# ---- sources ---------------------------------------------------------------------------------


class Torn(ListSource):
    """Some batches cannot be read."""

    def poll(self) -> Any:
        if self.at < len(self.batches) and isinstance(self.batches[self.at], Exception):
            self.at += 1
            raise self.batches[self.at - 1]
        return super().poll()


def test_a_sources_records_of_every_stage_come_in_envelopes(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    create(kafka, f"new-{topic}", 1, {"max.message.bytes": "5000"})
    batches: Sequence[Any] = [
        [b"a", b"unchanged"], DataError("line 3 is torn"), [b"bad value", b"b"],
        [b"c", b"x" * 10_000], [b"y" * 2_000_000, b"d"],
    ]  # fmt: skip
    queue = f"{topic}-dlq"
    settings = list_source.config(name, errors__deadletterqueue__topic__name=queue) | QUEUE
    settings["producer.override.batch.num.messages"] = "1"  # else others are too large with it
    task = Torn(topic, batches)
    plugins = string_plugins(settings, value_converter=Picky(), transformations=CHAIN)
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=settings, plugins=plugins)
    driver.start().ready()
    wait_until(lambda: stored(tmp_path, name) == {"batch": 5})
    driver.stop()
    assert [m.value() for m in read_all(kafka, f"new-{topic}", 4)] == [b"a", b"b", b"c", b"d"]
    letters = {}
    for message in read_all(kafka, queue, 4):
        envelope = json.loads(message.value())
        assert envelope["envelope"] == "engine.source-record.v1"
        letters[headers_of(message)["exception.message"]] = (headers_of(message), envelope)
    assert {told["stage"] for told, _ in letters.values()} == {
        "TRANSFORMATION", "TASK_POLL", "VALUE_CONVERTER", "KAFKA_PRODUCE",
    }  # fmt: skip
    told, envelope = letters["cannot be changed"]
    assert (told["topic"], envelope["topic"]) == (topic, topic)  # as it was polled
    assert envelope["source_partition"] == {"list": 1}
    assert envelope["source_offset"] == {"batch": 1}
    assert envelope["value"]["connect"]["payload"] == "unchanged"
    told, envelope = letters["cannot write bad value"]
    assert (told["class.name"], envelope["topic"]) == (f"{__name__}.Picky", f"new-{topic}")
    assert envelope["value"]["connect"]["payload"] == "bad value"
    assert letters["line 3 is torn"][1]["value"] == {"connect": {"schema": None, "payload": None}}
    [(told, envelope)] = [each for said, each in letters.items() if "10000 bytes" in said]
    assert told["stage"] == "KAFKA_PRODUCE"
    assert base64.b64decode(envelope["value"]["base64"]) == b"x" * 10_000
    assert envelope["source_offset"] == {"batch": 4}
    [too_large] = local(tmp_path, name)  # for the queue's topic, too
    envelope = json.loads(too_large.letter.record.value or b"")
    assert base64.b64decode(envelope["value"]["base64"]) == b"y" * 2_000_000
    assert too_large.letter.record.source_offset == {"batch": 5}


def test_a_sources_keys_and_headers_fail_at_stages_of_their_own(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    class Mute(SimpleHeaderConverter):
        def from_connect_header(
            self, topic: str, key: str, schema: Schema | None, value: Any
        ) -> bytes | None:
            raise DataError("no headers here")

    headers = (("h", SchemaAndValue(None, "x")),)
    records = [
        SourceRecord({"list": 1}, {"batch": 1}, topic, value="a", key="bad key"),
        SourceRecord({"list": 1}, {"batch": 1}, topic, value="b", headers=headers),
        SourceRecord({"list": 1}, {"batch": 1}, topic, value="c"),
    ]
    settings = list_source.config(name, errors__tolerance="all")
    task = ListSource(topic, [records])
    plugins = string_plugins(settings, key_converter=Picky(), header_converter=Mute())
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=settings, plugins=plugins)
    driver.start().ready()
    assert [m.value() for m in read_all(kafka, topic, 1)] == [b"c"]
    wait_until(lambda: stored(tmp_path, name) == {"batch": 1})
    driver.stop()
    key, header = local(tmp_path, name)
    assert (key.letter.stage, header.letter.stage) == ("KEY_CONVERTER", "HEADER_CONVERTER")
    envelope = json.loads(header.letter.record.value or b"")
    assert envelope["headers"][0]["value"]["connect"]["payload"] == "x"


def test_a_sources_letters_without_a_topic_are_in_the_file(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    settings = list_source.config(name, errors__tolerance="all")
    task = ListSource(topic, [[b"a", b"bad", b"bad"]])
    plugins = string_plugins(settings, value_converter=Picky())
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=settings, plugins=plugins)
    driver.start().ready()
    wait_until(lambda: stored(tmp_path, name) == {"batch": 1})
    driver.stop()
    kept, equal = local(tmp_path, name)
    assert (equal.times, equal.letter.record) == (1, kept.letter.record)
    assert kept.letter.record.source_offset == {"batch": 1}
    assert json.loads(kept.letter.record.value or b"")["value"]["connect"]["payload"] == "bad"


def test_a_sources_offset_waits_for_its_letters(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    (tmp_path / "dead-letters").write_text("in the way")
    settings = list_source.config(name, errors__tolerance="all")
    task = ListSource(topic, [[b"a", b"bad"]])
    plugins = string_plugins(settings, value_converter=Picky())
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=settings, plugins=plugins)
    driver.start().ready()
    wait_until(lambda: driver.slot["commit_failures"] >= 2)
    assert stored(tmp_path, name) is None
    (tmp_path / "dead-letters").unlink()
    wait_until(lambda: stored(tmp_path, name) == {"batch": 1})
    driver.stop()
