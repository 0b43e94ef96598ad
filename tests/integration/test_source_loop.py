"""The loop of a source task against a real broker: nothing lost, nothing committed too early."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from engine.api import (
    STRING,
    Column,
    ConfigError,
    DataError,
    RetriableError,
    SchemaAndValue,
    SourceBatch,
    SourceRecord,
    ToleranceExceededError,
)  # fmt: skip
from engine.api.transformation import Transformation
from engine.kafka.embedded.broker_process import BrokerProcess
from engine.storage.offset_store import OffsetStore
from engine.task.transformation_chain import TransformationChain, TransformationStep
from tests.integration.list_source import ListSource, config, read_all, stored, values, worker
from tests.integration.loop_driver import LoopDriver, string_plugins, wait_until

pytestmark = pytest.mark.broker


@pytest.fixture
def name(unique: Callable[[str], str]) -> str:
    return unique("lines")


def test_lines_arrive_in_order_and_the_offset_follows(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    batches = [[b"%d-%d" % (i, j) for j in range(1000)] for i in range(20)]
    task = ListSource(topic, batches)
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=config(name)).start().ready()
    wait_until(lambda: stored(tmp_path, name) == {"batch": 20})
    assert values(read_all(kafka, topic, 20_000)) == [each for batch in batches for each in batch]
    driver.stop()
    slot = driver.slot
    assert (slot["records_in"], slot["records_out"], slot["queue_records"]) == (20_000, 20_000, 0)
    assert slot["bytes_out"] == sum(len(each) for batch in batches for each in batch)
    assert slot["commits"] >= 1
    assert slot["first_ack_ns"] > slot["started_ns"] > 0
    assert task.commits >= 1
    assert task.stopped


def test_stop_commits_what_was_sent_and_the_successor_goes_on(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    slow = worker(kafka) | {"offset.flush.interval.ms": "60000"}
    batches: list[Any] = [[b"a", b"b"], [b"c"]]
    first = ListSource(topic, batches)
    driver = LoopDriver(tmp_path, first, worker=slow, config=config(name)).start().ready()
    wait_until(lambda: first.at == 2 and driver.slot["records_out"] == 3)
    driver.stop()
    assert stored(tmp_path, name) == {"batch": 2}
    second = ListSource(topic, [*batches, [b"d"]])
    driver = LoopDriver(
        tmp_path, second, worker=slow, config=config(name), generation=2
    ).start().ready()  # fmt: skip
    assert values(read_all(kafka, topic, 4)) == [b"a", b"b", b"c", b"d"]
    driver.stop()


class DropsOdd(Transformation):
    def apply(self, record: Any) -> Any:
        return None if int(record.value) % 2 else record


def test_records_that_are_all_filtered_still_move_the_offset(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    plugins = string_plugins(transformations=TransformationChain([TransformationStep(DropsOdd())]))
    task = ListSource(topic, [[b"1", b"3"], [b"2", b"5"], [b"7"]])
    driver = LoopDriver(
        tmp_path, task, worker=worker(kafka), config=config(name), plugins=plugins
    ).start().ready()  # fmt: skip
    wait_until(lambda: stored(tmp_path, name) == {"batch": 3})
    driver.stop()
    assert values(read_all(kafka, topic, 1)) == [b"2"]
    assert driver.slot["records_filtered"] == 4


def test_a_source_that_filters_for_itself_moves_its_offset_without_a_record(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    task = ListSource(topic, [[], [], [b"kept"], *([[]] * 200)])
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=config(name)).start().ready()
    wait_until(lambda: stored(tmp_path, name) == {"batch": 203})
    driver.stop()
    assert values(read_all(kafka, topic, 1)) == [b"kept"]
    assert driver.slot["batches"] == 1


def test_a_source_that_says_the_same_offset_again_and_again_is_not_asked_all_the_time(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    class Still(ListSource):
        polls = 0

        def poll(self) -> SourceBatch:
            self.polls += 1
            return SourceBatch(
                topic, Column([]), source_partition={"list": 1}, source_offset={"batch": 7}
            )

    task = Still(topic, [])
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=config(name)).start().ready()
    wait_until(lambda: stored(tmp_path, name) == {"batch": 7} and task.commits >= 3)
    driver.stop()
    assert task.polls < 100


def test_single_records_keep_key_headers_timestamp_and_partition(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    _create(kafka, topic, partitions=3)
    header = (("h", SchemaAndValue(STRING, "x")), ("h", SchemaAndValue(STRING, "y")))
    records = [
        SourceRecord({"list": 1}, {"batch": 1}, topic, value="v", value_schema=STRING, key="k",
                     key_schema=STRING, partition=2, timestamp=1234567890123, headers=header),
        SourceRecord({"list": 1}, {"batch": 1}, topic, value=None, partition=2),
    ]  # fmt: skip
    driver = LoopDriver(
        tmp_path, ListSource(topic, [records]), worker=worker(kafka), config=config(name)
    ).start().ready()  # fmt: skip
    got = read_all(kafka, topic, 2, partitions=3)
    assert [(m.partition(), m.key(), m.value()) for m in got] == [(2, b"k", b"v"), (2, None, None)]
    assert got[0].headers() == [("h", b"x"), ("h", b"y")]
    assert got[0].timestamp()[1] == 1234567890123
    wait_until(lambda: stored(tmp_path, name) == {"batch": 1})
    driver.stop()


class Refuses(Transformation):
    def apply(self, record: Any) -> Any:
        if record.value == "bad":
            raise DataError("it says bad")
        return record


def test_a_bad_record_ends_the_task_and_what_came_before_is_committed(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    plugins = string_plugins(transformations=TransformationChain([TransformationStep(Refuses())]))
    task = ListSource(topic, [[b"good"], [b"fine", b"bad"]])
    driver = LoopDriver(
        tmp_path, task, worker=worker(kafka), config=config(name), plugins=plugins
    ).start()  # fmt: skip
    assert driver.failed(ToleranceExceededError) == (
        "Tolerance exceeded in error handler: TRANSFORMATION: it says bad"
    )
    assert stored(tmp_path, name) == {"batch": 1}
    assert task.stopped


def test_bad_records_are_skipped_where_that_is_allowed(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    settings = config(name, errors__tolerance="all")
    plugins = string_plugins(
        settings, transformations=TransformationChain([TransformationStep(Refuses())])
    )
    task = ListSource(topic, [[b"1", b"bad", b"2"], [b"bad"]])
    driver = LoopDriver(
        tmp_path, task, worker=worker(kafka), config=settings, plugins=plugins
    ).start().ready()  # fmt: skip
    assert values(read_all(kafka, topic, 2)) == [b"1", b"2"]
    wait_until(lambda: stored(tmp_path, name) == {"batch": 2})
    driver.stop()
    assert (driver.slot["records_skipped"], driver.slot["record_errors"]) == (2, 2)


def test_a_record_larger_than_the_topic_takes_names_the_topic_and_the_limit(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    _create(kafka, topic, max__message__bytes="5000")
    task = ListSource(topic, [[b"x" * 10_000]])
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=config(name)).start()
    assert driver.failed(ToleranceExceededError) == (
        f"a record of 10000 bytes for topic {topic} is larger than the topic takes (5000 bytes): "
        "raise the topic's max.message.bytes, or make the record smaller"
    )
    assert stored(tmp_path, name) is None


def test_a_record_larger_than_the_producer_takes_says_what_to_change(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    task = ListSource(topic, [[b"a", b"x" * 2_000_000, b"b"]])
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=config(name)).start()
    assert "raise producer.override.max.request.size" in driver.failed(ToleranceExceededError)
    assert stored(tmp_path, name) is None


def test_a_record_that_is_too_large_can_be_skipped(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    settings = config(name, errors__tolerance="all")
    task = ListSource(topic, [[b"a", b"x" * 2_000_000, b"b"]])
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=settings).start().ready()
    assert values(read_all(kafka, topic, 2)) == [b"a", b"b"]
    wait_until(lambda: stored(tmp_path, name) == {"batch": 1})
    driver.stop()
    assert driver.slot["records_skipped"] == 1


def test_batches_too_large_for_a_topic_are_made_smaller_by_the_next_process(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    _create(kafka, topic, max__message__bytes="5000")
    lines = [b"%04d" % i + b"x" * 100 for i in range(1000)]
    driver = LoopDriver(
        tmp_path, ListSource(topic, [lines]), worker=worker(kafka), config=config(name)
    ).start()  # fmt: skip
    assert "a batch of records was larger than topic" in driver.failed(RetriableError)
    assert stored(tmp_path, name) is None
    driver = LoopDriver(
        tmp_path, ListSource(topic, [lines]), worker=worker(kafka), config=config(name),
        generation=2,
    ).start().ready()  # fmt: skip
    wait_until(lambda: stored(tmp_path, name) == {"batch": 1})
    driver.stop()
    assert values(read_all(kafka, topic, 1000))[-1] == lines[-1]


def test_a_queue_that_is_full_keeps_the_order(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    settings = config(name, producer__override__buffer__memory="65536")
    lines = [b"%06d" % i + b"-" * 94 for i in range(50_000)]
    task = ListSource(topic, [lines])
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=settings).start().ready()
    wait_until(lambda: stored(tmp_path, name) == {"batch": 1})
    driver.stop()
    assert values(read_all(kafka, topic, len(lines))) == lines


def test_a_paused_task_reads_nothing_and_goes_on_when_resumed(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    task = ListSource(topic, [[b"a"]])
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=config(name)).start().ready()
    wait_until(lambda: driver.slot["records_out"] == 1)
    driver.pause(paused=True)
    assert stored(tmp_path, name) == {"batch": 1}
    assert driver.slot.stage == "paused"
    task.batches = [[b"a"], [b"b"]]
    driver.pause(paused=False)
    assert values(read_all(kafka, topic, 2)) == [b"a", b"b"]
    driver.stop()


def test_a_task_that_is_paused_from_the_beginning_is_not_started(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    task = ListSource(topic, [[b"a"]])
    driver = LoopDriver(
        tmp_path, task, worker=worker(kafka), config=config(name), paused=True
    ).start().ready()  # fmt: skip
    assert not task.started.is_set()
    driver.pause(paused=False)
    assert task.started.is_set()
    driver.stop()


def test_a_failed_poll_is_a_failed_task_whose_offsets_are_committed(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    task = ListSource(topic, [[b"a"]])
    driver = LoopDriver(
        tmp_path, task, worker=worker(kafka, **{"offset.flush.interval.ms": "60000"}),
        config=config(name),
    ).start().ready()  # fmt: skip
    wait_until(lambda: driver.slot["records_out"] == 1)
    task.failure = ZeroDivisionError("a bug")
    assert driver.failed(ZeroDivisionError) == "a bug"
    assert stored(tmp_path, name) == {"batch": 1}
    assert task.stopped


def test_only_commits_that_store_something_are_timed(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    task = ListSource(topic, [[b"a"]])
    driver = LoopDriver(
        tmp_path, task, worker=worker(kafka, **{"offset.flush.interval.ms": "10"}),
        config=config(name),
    ).start().ready()  # fmt: skip
    wait_until(lambda: driver.slot["commits"] == 1)
    skips = driver.slot["commit_skips"]
    wait_until(lambda: driver.slot["commit_skips"] > skips)
    timed = driver.slot["commit_ns"]
    assert timed == driver.slot["commit_ns_max"] > 0
    wait_until(lambda: driver.slot["commit_skips"] > skips + 10)
    driver.stop()
    assert driver.slot["commit_ns"] == timed


class CannotCommit(ListSource):
    def commit(self) -> None:
        super().commit()
        raise OSError("no cleaning up today")


def test_a_tasks_own_commit_that_fails_is_only_logged(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    task = CannotCommit(topic, [[b"a"], [b"b"]])
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=config(name)).start().ready()
    wait_until(lambda: stored(tmp_path, name) == {"batch": 2} and task.commits > 1)
    driver.stop()


def test_a_poll_that_may_be_tried_again_is(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    task = ListSource(topic, [[b"a"]])
    task.failure = RetriableError("not now")
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=config(name)).start().ready()
    wait_until(lambda: driver.slot["retries"] > 1)
    task.failure = None
    assert values(read_all(kafka, topic, 1)) == [b"a"]
    driver.stop()


class HearsOfRecords(ListSource):
    def __init__(self, topic: str, batches: Sequence[Any]) -> None:
        super().__init__(topic, batches)
        self.heard: list[tuple[Any, int | None]] = []

    def commit_record(self, record: SourceRecord, metadata: Any | None) -> None:
        self.heard.append((record.value, metadata.offset() if metadata else None))


def test_a_task_that_wants_to_hears_of_every_record(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    plugins = string_plugins(transformations=TransformationChain([TransformationStep(DropsOdd())]))
    task = HearsOfRecords(topic, [[b"0", b"1", b"2"]])
    driver = LoopDriver(
        tmp_path, task, worker=worker(kafka), config=config(name), plugins=plugins
    ).start().ready()  # fmt: skip
    wait_until(lambda: stored(tmp_path, name) == {"batch": 1})
    driver.stop()
    assert sorted(task.heard, key=str) == [("0", 0), ("1", None), ("2", 1)]


def test_a_topic_is_made_by_the_connectors_rules(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    settings = config(
        name,
        topic__creation__groups="small",
        topic__creation__default__partitions="1",
        topic__creation__default__replication__factor="1",
        topic__creation__small__include=f"{topic}.*",
        topic__creation__small__partitions="4",
        topic__creation__small__max__message__bytes="20000",
    )
    lines = [b"y" * 100] * 1000
    task = ListSource(topic, [lines])
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=settings).start().ready()
    wait_until(lambda: stored(tmp_path, name) == {"batch": 1})
    driver.stop()
    found = AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10).topics[topic]
    assert len(found.partitions) == 4
    assert len(read_all(kafka, topic, 1000, partitions=4)) == 1000


def test_an_older_process_of_the_task_cannot_commit(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    OffsetStore(tmp_path, name).write([({"list": 1}, {"batch": 0})], task=0, generation=9)
    task = ListSource(topic, [[b"a"]])
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=config(name)).start()
    driver.join()
    assert "a newer process" in str(driver.error)
    assert stored(tmp_path, name) == {"batch": 0}


def test_an_unknown_client_property_names_the_nearest(tmp_path: Path, name: str) -> None:
    settings = config(name, producer__override__liner__ms="5")
    driver = LoopDriver(
        tmp_path, ListSource("t", []), worker=worker("127.0.0.1:1"), config=settings
    ).start()  # fmt: skip
    assert driver.failed(ConfigError) == (
        "Unknown configuration producer.override.liner.ms, did you mean "
        "producer.override.linger.ms?"
    )


def test_offsets_that_cannot_be_stored_are_a_condition_and_records_flow(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    (tmp_path / "offsets").write_text("in the way")
    task = ListSource(topic, [[b"a"], [b"b"]])
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=config(name)).start().ready()
    assert values(read_all(kafka, topic, 2)) == [b"a", b"b"]
    wait_until(lambda: any("offsets cannot be stored" in (t or "") for t in driver.conditions()))
    (tmp_path / "offsets").unlink()
    wait_until(lambda: stored(tmp_path, name) == {"batch": 2})
    wait_until(lambda: driver.conditions()[-1] is None)
    driver.stop()


def test_a_broker_that_is_away_is_a_condition_and_nothing_is_lost(
    own_kafka: BrokerProcess, topic: str, name: str, tmp_path: Path
) -> None:
    address = own_kafka.address
    task = ListSource(topic, [[b"a"]])
    driver = LoopDriver(
        tmp_path, task, worker=worker(address), config=config(name)
    ).start().ready()  # fmt: skip
    wait_until(lambda: stored(tmp_path, name) == {"batch": 1})
    own_kafka.kill()
    wait_until(lambda: any("not reachable since" in (t or "") for t in driver.conditions()))
    task.batches = [[b"a"], [b"b"]]
    wait_until(lambda: driver.slot["records_out"] == 2)
    own_kafka.start()
    own_kafka.wait_ready()
    wait_until(lambda: stored(tmp_path, name) == {"batch": 2})
    wait_until(lambda: driver.conditions()[-1] is None)
    assert values(read_all(address, topic, 2)) == [b"a", b"b"]
    driver.stop()


def test_a_task_whose_broker_was_never_there_runs_and_stops_in_time(
    tmp_path: Path, name: str
) -> None:
    task = ListSource("t", [[b"a"] * 10])
    driver = LoopDriver(
        tmp_path, task, worker=worker("127.0.0.1:1"), config=config(name)
    ).start().ready()  # fmt: skip
    wait_until(lambda: any("Connection refused" in (t or "") for t in driver.conditions()))
    driver.stop(timeout=5.0)
    assert stored(tmp_path, name) is None
    assert task.stopped


def _create(kafka: str, topic: str, partitions: int = 1, **settings: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    wanted = {key.replace("__", "."): value for key, value in settings.items()}
    made = admin.create_topics([NewTopic(topic, partitions, 1, config=wanted)])
    made[topic].result(20)
