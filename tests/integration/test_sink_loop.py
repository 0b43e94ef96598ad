"""The loop of a sink task against a real broker: offsets follow what is durable, nothing else."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from engine.api import (
    ConfigError,
    DataError,
    RetriableError,
    SinkBatch,
    ToleranceExceededError,
    TopicPartition,
)  # fmt: skip
from engine.api.transformation import Transformation
from engine.converters.byte_array import ByteArrayConverter
from engine.kafka.embedded.broker_process import BrokerProcess
from engine.task.transformation_chain import TransformationChain, TransformationStep
from tests.integration.list_sink import (
    RARELY,
    ListSink,
    committed,
    config,
    create,
    worker,
    write,
)  # fmt: skip
from tests.integration.loop_driver import LoopDriver, string_plugins, wait_until

pytestmark = pytest.mark.broker


@pytest.fixture
def name(unique: Callable[[str], str]) -> str:
    return unique("sink")


def test_records_arrive_in_order_and_the_offset_follows(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    lines = [b"%d" % i for i in range(25_000)]
    write(kafka, topic, lines)
    task = ListSink()
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=config(name, topic))
    driver.start().ready()
    wait_until(lambda: len(task.records) == len(lines))
    assert task.values() == [line.decode() for line in lines]
    wait_until(lambda: committed(kafka, name, topic) == [len(lines)])
    wait_until(lambda: driver.slot["lag"] == 0)
    driver.stop()
    slot = driver.slot
    assert (slot["records_in"], slot["records_out"]) == (len(lines), len(lines))
    assert slot["bytes_in"] == sum(map(len, lines))
    assert slot["commits"] >= 1
    assert slot["partitions"] == 1
    one = frozenset((TopicPartition(topic, 0),))
    assert (task.opened, task.closed, task.stopped) == ([one], [one], True)


def test_stop_commits_what_was_put_and_the_successor_takes_over_at_once(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    write(kafka, topic, [b"a", b"b"])
    first = ListSink()
    driver = LoopDriver(tmp_path, first, worker=worker(kafka) | RARELY, config=config(name, topic))
    driver.start().ready()
    wait_until(lambda: first.values() == ["a", "b"])
    driver.stop()
    assert committed(kafka, name, topic) == [2]
    write(kafka, topic, [b"c"])
    second = ListSink()
    driver = LoopDriver(
        tmp_path, second, worker=worker(kafka), config=config(name, topic), generation=2
    ).start().ready()  # fmt: skip
    wait_until(lambda: second.values() == ["c"], timeout=10.0)
    driver.stop()


def test_a_final_stop_leaves_the_group_so_that_others_take_over_at_once(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    write(kafka, topic, [b"a"])
    first, second = ListSink(), ListSink()
    driver = LoopDriver(tmp_path, first, worker=worker(kafka), config=config(name, topic))
    driver.start().ready()
    wait_until(lambda: first.values() == ["a"])
    driver.stop(final=True)
    write(kafka, topic, [b"b"])
    other = LoopDriver(
        tmp_path, second, worker=worker(kafka), config=config(name, topic), number=1
    ).start().ready()  # fmt: skip
    wait_until(lambda: second.values() == ["b"], timeout=10.0)
    other.stop(final=True)


def test_a_rebalance_moves_partitions_without_loss_or_repetition(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    create(kafka, topic, 4)
    first, second = ListSink(), ListSink()
    settings, rarely = config(name, topic), worker(kafka) | RARELY
    driver = LoopDriver(tmp_path, first, worker=rarely, config=settings).start().ready()
    for each in range(4):
        write(kafka, topic, [b"%d" % i for i in range(500)], each)
    wait_until(lambda: len(first.records) == 2000)
    other = LoopDriver(tmp_path, second, worker=rarely, config=settings, number=1)
    other.start().ready()
    wait_until(lambda: other.slot["partitions"] == 2 and driver.slot["partitions"] == 2)
    for each in range(4):
        write(kafka, topic, [b"%d" % i for i in range(500, 600)], each)
    wait_until(lambda: len(first.records) + len(second.records) == 2400)
    driver.stop(final=True)
    other.stop(final=True)
    positions = [(p, o) for _, p, o, _ in first.records + second.records]
    assert len(set(positions)) == 2400
    assert [len(each) for each in first.opened] == [4]  # two were never taken away
    assert {len(each) for each in first.closed} == {2}
    assert committed(kafka, name, topic, 4) == [600] * 4


def put_slowly(batch: SinkBatch) -> None:
    threading.Event().wait(len(batch) / 8_000)


@pytest.mark.parametrize("strategy", ["cooperative-sticky", "range"])
def test_members_that_come_and_go_under_load_lose_nothing(
    kafka: str, topic: str, name: str, tmp_path: Path, strategy: str
) -> None:
    topic, name = f"{topic}-{strategy}", f"{name}-{strategy}"
    create(kafka, topic, 4)
    settings = config(
        name,
        topic,
        consumer__override__partition__assignment__strategy=strategy,
        consumer__override__max__poll__records="500",
    )
    tasks = [ListSink() for _ in range(3)]
    drivers: list[LoopDriver] = []
    each = 0
    for number, task in enumerate(tasks):
        task.on_put = put_slowly  # there is always something under way when members come and go
        for partition in range(4):
            write(kafka, topic, [b"%d" % i for i in range(each, each + 4000)], partition)
        each += 4000
        driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=settings, number=number)
        drivers.append(driver.start().ready())
        wait_until(lambda driver=driver: driver.slot["partitions"] > 0)  # type: ignore[misc]
        if number:
            drivers[number - 1].stop(final=True)
    wait_until(lambda: committed(kafka, name, topic, 4) == [each] * 4)
    drivers[-1].stop(final=True)
    arrived = {(p, o) for task in tasks for _, p, o, _ in task.records}
    assert len(arrived) == 4 * each
    for task in tasks:  # in order, in each partition
        for partition in range(4):
            offsets = [o for _, p, o, _ in task.records if p == partition]
            assert offsets == sorted(offsets)


def test_a_batch_that_cannot_be_put_now_is_brought_again_and_order_is_kept(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    write(kafka, topic, [b"a", b"b"])
    task = ListSink()
    task.failure = RetriableError("full", retry_after=0.05)
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=config(name, topic))
    driver.start().ready()
    wait_until(lambda: len(task.attempts) >= 3)
    wait_until(lambda: "put failed and is tried again: full" in driver.conditions())
    write(kafka, topic, [b"c"])
    assert committed(kafka, name, topic) == [-1001]
    task.failure = None
    wait_until(lambda: task.values() == ["a", "b", "c"])
    wait_until(lambda: committed(kafka, name, topic) == [3])
    wait_until(lambda: driver.conditions()[-1] is None)
    driver.stop()
    assert driver.slot["retries"] >= 2


def test_a_failed_put_ends_the_task_and_commits_only_what_was_put_before(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    write(kafka, topic, [b"a", b"b"])
    task = ListSink()
    driver = LoopDriver(tmp_path, task, worker=worker(kafka) | RARELY, config=config(name, topic))
    driver.start().ready()
    wait_until(lambda: task.values() == ["a", "b"])
    task.failure = ZeroDivisionError("a bug")
    write(kafka, topic, [b"c"])
    assert driver.failed(ZeroDivisionError) == "a bug"
    assert committed(kafka, name, topic) == [2]
    assert task.stopped


def test_a_flush_that_fails_brings_the_records_again(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    write(kafka, topic, [b"a"])
    task = ListSink()
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=config(name, topic))
    driver.start().ready()
    wait_until(lambda: committed(kafka, name, topic) == [1])
    task.flush_failure = OSError("disk full")
    write(kafka, topic, [b"b"])
    wait_until(lambda: task.values()[:3] == ["a", "b", "b"])
    assert committed(kafka, name, topic) == [1]
    task.flush_failure = None
    wait_until(lambda: committed(kafka, name, topic) == [2])
    driver.stop()


class Refuses(Transformation):
    def apply(self, record: Any) -> Any:
        if record.value == "bad":
            raise DataError("it says bad")
        return None if record.value == "odd" else record


def test_a_bad_record_ends_the_task_at_its_offset(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    write(kafka, topic, [b"good"])
    plugins = string_plugins(transformations=TransformationChain([TransformationStep(Refuses())]))
    task = ListSink()
    driver = LoopDriver(
        tmp_path, task, worker=worker(kafka) | RARELY, config=config(name, topic), plugins=plugins
    ).start().ready()  # fmt: skip
    wait_until(lambda: task.values() == ["good"])
    write(kafka, topic, [b"bad"])
    assert driver.failed(ToleranceExceededError).endswith("TRANSFORMATION: it says bad")
    assert committed(kafka, name, topic) == [1]


def test_skipped_and_filtered_records_move_the_offset(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    settings = config(name, topic, errors__tolerance="all")
    write(kafka, topic, [b"1", b"bad", b"odd", b"2", b"bad"])
    plugins = string_plugins(
        settings, transformations=TransformationChain([TransformationStep(Refuses())])
    )
    task = ListSink()
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=settings, plugins=plugins)
    driver.start().ready()
    wait_until(lambda: committed(kafka, name, topic) == [5])
    driver.stop()
    assert task.values() == ["1", "2"]
    assert (driver.slot["records_skipped"], driver.slot["records_filtered"]) == (2, 1)


def test_several_topics_by_a_pattern_that_matches_whole_names(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    for each in ("a", "b", "ab"):
        write(kafka, f"{topic}.{each}", [each.encode()])
    settings = config(name, "", topics__regex=f"{topic}[.](a|b)")
    task = ListSink()
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=settings).start().ready()
    wait_until(lambda: sorted(task.values()) == ["a", "b"])
    assert {t for t, *_ in task.records} == {f"{topic}.a", f"{topic}.b"}
    driver.stop(final=True)


def test_a_paused_task_stays_in_its_group_and_reads_nothing(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    write(kafka, topic, [b"a"])
    task = ListSink()
    driver = LoopDriver(tmp_path, task, worker=worker(kafka) | RARELY, config=config(name, topic))
    driver.start().ready()
    wait_until(lambda: task.values() == ["a"])
    driver.pause(paused=True)
    wait_until(lambda: committed(kafka, name, topic) == [1])
    write(kafka, topic, [b"b"])
    wait_until(lambda: driver.slot["lag"] == 1)
    assert task.values() == ["a"]
    assert (driver.slot.stage, driver.slot["partitions"]) == ("paused", 1)
    driver.pause(paused=False)
    wait_until(lambda: task.values() == ["a", "b"])
    driver.stop()


def test_a_task_that_is_paused_from_the_beginning_is_not_started(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    write(kafka, topic, [b"a"])
    task = ListSink()
    driver = LoopDriver(
        tmp_path, task, worker=worker(kafka), config=config(name, topic), paused=True
    ).start().ready()  # fmt: skip
    assert not task.started.is_set()
    driver.pause(paused=False)
    wait_until(lambda: task.values() == ["a"])
    driver.stop()


def test_a_topic_that_comes_later_is_awaited_in_words(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    task = ListSink()
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=config(name, topic))
    driver.start().ready()
    wait_until(lambda: any(f"not available: {topic}" in (t or "") for t in driver.conditions()))
    write(kafka, topic, [b"a"])
    wait_until(lambda: task.values() == ["a"])
    wait_until(lambda: driver.conditions()[-1] is None)
    driver.stop()


def test_a_task_may_choose_where_to_begin(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    write(kafka, topic, [b"a", b"b", b"c"])
    task = ListSink()
    task.begin_at = {TopicPartition(topic, 0): 2}
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=config(name, topic))
    driver.start().ready()
    wait_until(lambda: committed(kafka, name, topic) == [3])
    driver.stop()
    assert task.values() == ["c"]


def test_a_task_may_go_back_pause_a_partition_and_ask_for_a_commit(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    create(kafka, topic, 2)
    write(kafka, topic, [b"a", b"b"], 0)
    zero, one = TopicPartition(topic, 0), TopicPartition(topic, 1)
    task = ListSink()

    def on_put(batch: SinkBatch) -> None:
        if len(batch) and len(task.records) == 0:
            task.context.offset({zero: 0})
            task.context.pause(one)
            task.context.request_commit()

    task.on_put = on_put
    driver = LoopDriver(tmp_path, task, worker=worker(kafka) | RARELY, config=config(name, topic))
    driver.start().ready()
    wait_until(lambda: task.values()[:4] == ["a", "b", "a", "b"])
    write(kafka, topic, [b"x"], 1)
    write(kafka, topic, [b"c"], 0)
    wait_until(lambda: "c" in task.values())
    assert "x" not in task.values()
    task.on_put = lambda _: task.context.resume(one)
    wait_until(lambda: "x" in task.values())
    driver.stop()
    assert driver.slot["commits"] >= 2


def test_errors_that_a_task_reports_are_judged_by_the_policy(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    settings = config(name, topic, errors__tolerance="all", errors__log__enable="true")
    write(kafka, topic, [b"a", b"bad"])
    task = ListSink()

    def on_put(batch: SinkBatch) -> None:
        for record in batch.records():
            if record.value == "bad":
                reporter = task.context.errant_record_reporter()
                assert reporter is not None
                reporter.report(record, DataError("no"))

    task.on_put = on_put
    driver = LoopDriver(tmp_path, task, worker=worker(kafka), config=settings).start().ready()
    wait_until(lambda: driver.slot["errors_logged"] == 1)
    driver.stop()
    assert driver.slot["records_skipped"] == 1


def test_keys_headers_and_times_come_as_columns(
    kafka: str, topic: str, name: str, tmp_path: Path
) -> None:
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(
        topic, b"v", key=b"k", headers=[("h", b"1"), ("h", None)], timestamp=1234567890123
    )
    producer.produce(topic, None, key=b"gone")
    assert producer.flush(30) == 0
    seen: list[Any] = []
    task = ListSink()
    task.on_put = lambda batch: seen.extend(batch.records())
    raw = ByteArrayConverter()
    driver = LoopDriver(
        tmp_path, task, worker=worker(kafka), config=config(name, topic),
        plugins=string_plugins(value_converter=raw),
    ).start().ready()  # fmt: skip
    wait_until(lambda: len(seen) == 2)
    driver.stop()
    first, second = seen
    assert (first.key, first.value, first.timestamp, first.timestamp_type) == (
        "k", b"v", 1234567890123, "CreateTime",
    )  # fmt: skip
    assert [(key, value.value) for key, value in first.headers] == [("h", 1), ("h", None)]
    assert (second.key, second.value, list(second.headers)) == ("gone", None, [])


def test_a_forbidden_override_is_a_configuration_error(tmp_path: Path, name: str) -> None:
    settings = config(name, "t", consumer__override__max__poll__records="7")
    driver = LoopDriver(
        tmp_path, ListSink(), config=settings,
        worker=worker("127.0.0.1:1", **{"connector.client.config.override.policy": "None"}),
    ).start()  # fmt: skip
    assert driver.failed(ConfigError) == (
        "The 'None' policy does not allow 'max.poll.records' to be overridden in the connector "
        "configuration."
    )


def test_a_broker_that_goes_away_and_comes_back_costs_nothing(
    own_kafka: BrokerProcess, topic: str, name: str, tmp_path: Path
) -> None:
    write(own_kafka.address, topic, [b"a"])
    task = ListSink()
    driver = LoopDriver(
        tmp_path, task, worker=worker(own_kafka.address), config=config(name, topic)
    ).start().ready()  # fmt: skip
    wait_until(lambda: committed(own_kafka.address, name, topic) == [1])
    own_kafka.kill()
    wait_until(lambda: any("not reachable since" in (t or "") for t in driver.conditions()))
    own_kafka.start()
    own_kafka.wait_ready()
    write(own_kafka.address, topic, [b"b"])
    wait_until(lambda: task.values() == ["a", "b"])
    wait_until(lambda: driver.conditions()[-1] is None)
    wait_until(lambda: committed(own_kafka.address, name, topic) == [2])
    own_kafka.kill()
    wait_until(lambda: driver.conditions()[-1] is not None)
    driver.stop(final=True, timeout=5.0)
    assert task.stopped
