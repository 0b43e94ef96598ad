"""Where records came from that Kafka refuses after a while."""

from engine.api import STRING, Column, SourceBatch
from engine.model.letters.dead_letter import RawRecord
from engine.task.source.conversion import Outgoing
from engine.task.source.sent_batches import SentBatches


def remember(sent: SentBatches, number: int, *values: bytes, topic: str = "t") -> None:
    batch = SourceBatch(
        topic, Column(list(values), STRING, utf8=True), {"f": 1}, {"batch": number},
        source_offsets=[{"record": i} for i in range(len(values))] if number == 2 else None,
    )  # fmt: skip
    sent.remember(Outgoing(topic, [{"value": value} for value in values]), batch)


def test_a_record_is_found_in_its_batch() -> None:
    sent = SentBatches()
    remember(sent, 1, b"a", b"b")
    remember(sent, 2, b"c", b"d")
    found = [sent.find(RawRecord("t", value=value)) for value in (b"b", b"d", b"a", b"x")]
    assert [each.source_offset for each in found] == [
        {"batch": 1},
        {"record": 1},
        {"batch": 1},
        None,
    ]
    assert [each.source_partition for each in found] == [{"f": 1}, {"f": 1}, {"f": 1}, None]


def test_equal_records_are_found_one_after_the_other() -> None:
    sent = SentBatches()
    remember(sent, 1, b"a", b"a")
    remember(sent, 3, b"a")
    found = [sent.find(RawRecord("t", value=b"a")).source_offset for _ in range(4)]
    assert found == [{"batch": 1}, {"batch": 1}, {"batch": 3}, {"batch": 1}]


def test_an_equal_record_for_another_topic_is_another_record() -> None:
    sent = SentBatches()
    remember(sent, 1, b"a", topic="elsewhere")
    remember(sent, 3, b"a")
    assert sent.find(RawRecord("t", value=b"a")).source_offset == {"batch": 3}
    assert sent.find(RawRecord("elsewhere", value=b"a")).source_offset == {"batch": 1}
    assert sent.find(RawRecord("nowhere", value=b"a")).source_offset is None


def test_what_kafka_has_is_forgotten() -> None:
    sent = SentBatches()
    for number in range(1, 11):
        remember(sent, number, b"%d" % number)
    sent.trim(queued=2)
    assert sent.find(RawRecord("t", value=b"6")).source_offset is None
    assert sent.find(RawRecord("t", value=b"7")).source_offset == {"batch": 7}
    sent.trim(queued=0)
    assert sent.find(RawRecord("t", value=b"10")).source_offset is None
