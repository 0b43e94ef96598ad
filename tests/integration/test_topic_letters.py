"""Dead letters in a topic, against a real broker: looked at, changed, sent again, cut off."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from connectors.file import FileStreamSinkConnector
from engine.api.errors import NotFoundError, RetriableError
from engine.model.letters.context import context_headers
from engine.model.letters.dead_letter import DeadLetter, RawRecord
from engine.model.letters.place import BEGINNING
from engine.model.letters.request import LettersRequest, LettersRequestError
from engine.plugins.registry import Plugins
from engine.storage.letter_handling import begin_replay
from engine.task.letters import scan
from engine.task.letters.requests import LetterRequests
from engine.task.letters.store import letter_stores
from tests.integration.list_sink import create
from tests.integration.list_source import read_all
from tests.integration.loop_driver import wait_until

pytestmark = pytest.mark.broker

_SINK = f"{FileStreamSinkConnector.__module__}.{FileStreamSinkConnector.__qualname__}"

NOW = int(datetime.now(UTC).timestamp() * 1000)
"""Kafka throws away what is older than its retention time, by the record's own."""


class Queue:
    """A topic of dead letters, and a connector that has it.

    Attributes:
        topic: where the records were.
        name: of the queue's topic.
    """

    def __init__(self, kafka: str, topic: str, data_dir: Path) -> None:
        self.kafka, self.topic, self.name, self.data_dir = kafka, topic, f"{topic}-dlq", data_dir
        self.config = {
            "name": "c", "connector.class": _SINK, "topics": topic, "file": "/dev/null",
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter.schemas.enable": "false",
            "errors.tolerance": "all", "errors.deadletterqueue.topic.name": self.name,
        }  # fmt: skip

    def letter(self, offset: int, **given: Any) -> DeadLetter:
        record = {"key": b"k", "value": b"{bad", "headers": (("h", b"1"),), **given.pop("of", {})}
        raw = RawRecord(self.topic, partition=0, offset=offset, timestamp=NOW, **record)
        told = {"stage": "VALUE_CONVERTER", "exception": "engine.api.errors.DataError", **given}
        return DeadLetter(
            **{
                "connector": "c", "task": 0, "executing": "J", "message": f"no {offset}",
                "stacktrace": "Traceback", "attempts": 1, "failed_ms": 1000 + offset,
                "record": raw, **told,
            }
        )  # fmt: skip

    def keep(
        self, *letters: DeadLetter, partition: int = 0, ours: bool = True, context: bool = True
    ) -> None:
        """Write letters, as the engine does or as Kafka Connect does."""
        producer = Producer({"bootstrap.servers": self.kafka, "message.max.bytes": 5_000_000})
        for each in letters:
            told = context_headers(each) if context else []
            if not ours:
                told = [header for header in told if header[0].startswith("__connect.errors.")]
            producer.produce(
                self.name, each.record.value, key=each.record.key, partition=partition,
                headers=[*each.record.headers, *told], timestamp=each.record.timestamp or 0,
            )  # fmt: skip
        assert producer.flush(30) == 0

    def ask(self, action: str, **given: Any) -> dict[str, Any]:
        requests = LetterRequests(
            Plugins(), self.config, {"bootstrap.servers": self.kafka}, self.data_dir
        )
        return requests.answer(LettersRequest(action, **given))

    def all_of(self, action: str, **given: Any) -> Iterator[dict[str, Any]]:
        """The answers of as many requests as it takes."""
        after: str | None = ""
        while after is not None:
            answer = self.ask(action, after=after, **given)
            after = answer["next"]
            yield answer

    def places(self, **given: Any) -> list[str]:
        return [each["letter"] for each in self.ask("list", **given)["letters"]]


@pytest.fixture
def queue(kafka: str, topic: str, tmp_path: Path) -> Queue:
    made = Queue(kafka, topic, tmp_path)
    create(kafka, made.name, 2)
    create(kafka, topic, 1)
    return made


def sent(queue: Queue, count: int) -> list[tuple[bytes, dict[str, bytes]]]:
    found = read_all(queue.kafka, queue.topic, count)
    return [(message.value(), dict(message.headers() or ())) for message in found]


def test_letters_are_counted_and_listed_whoever_wrote_them(queue: Queue) -> None:
    queue.keep(queue.letter(0), queue.letter(1, stage="TASK_PUT"))
    theirs = "org.apache.kafka.connect.errors.DataException"
    queue.keep(queue.letter(2, exception=theirs), partition=1, ours=False)
    queue.keep(queue.letter(3, connector="other"), partition=1)
    queue.keep(queue.letter(4), partition=1, context=False)
    found = queue.ask("list")
    assert {(c["connector"], c["stage"], c["cause"]): c["letters"] for c in found["counts"]} == {
        ("c", "VALUE_CONVERTER", "engine.api.errors.DataError"): 1,
        ("c", "TASK_PUT", "engine.api.errors.DataError"): 1,
        ("c", "VALUE_CONVERTER", theirs): 1,
        ("other", "VALUE_CONVERTER", "engine.api.errors.DataError"): 1,
        (None, None, None): 1,
    }
    assert [each["letter"] for each in found["letters"]] == ["0@0", "0@1", "1@0", "1@1", "1@2"]
    assert (found["total"], found["seen"], found["of"], found["next"]) == (5, 5, 5, None)
    assert queue.places(where=("cause=DataException",)) == ["1@0"]
    assert queue.places(where=("time>=1001", "time<1003")) == ["0@1"]
    assert queue.places(where=("time=null",)) == ["1@0", "1@2"]
    assert queue.places(where=("offset>=2",)) == ["1@0", "1@1"]
    assert queue.places(limit=2, list_after="0@1") == ["1@0", "1@1"]
    assert queue.places(queue="file") == []


def test_a_letter_is_shown_with_what_its_headers_say_and_its_data_decoded(queue: Queue) -> None:
    queue.keep(queue.letter(7, of={"value": b'{"a": 1}'}), queue.letter(8), ours=False)
    shown = queue.ask("show", letter="0@0")
    assert shown["value"] == {"format": "connect", "data": {"a": 1}}
    assert shown["key"] == {"format": "connect", "data": "k"}
    assert shown["headers"] == [{"name": "h", "format": "text", "data": "1"}]
    assert (shown["topic"], shown["partition"], shown["offset"]) == (queue.topic, 0, 7)
    assert (shown["message"], shown["stacktrace"], shown["timestamp"]) == (
        "no 7", "Traceback", NOW
    )  # fmt: skip
    assert queue.ask("show", letter="0@1")["value"] == {"format": "text", "data": "{bad"}
    with pytest.raises(NotFoundError, match="has no dead letter 0@2"):
        queue.ask("show", letter="0@2")
    with pytest.raises(NotFoundError, match="has no dead letter 7@0"):
        queue.ask("show", letter="7@0")


def test_a_queue_that_is_not_there_yet_is_empty(queue: Queue) -> None:
    queue.config["errors.deadletterqueue.topic.name"] = f"{queue.name}-2"
    assert queue.ask("list")["total"] == 0


def test_letters_are_sent_once_with_what_was_edited_and_without_their_context(
    queue: Queue,
) -> None:
    queue.keep(queue.letter(0), queue.letter(1), ours=False)
    edited = queue.ask("edit", letter="0@0", value='{"a": 1}', headers={"i": "2"})
    assert edited["value"]["data"] == {"a": 1}
    assert edited["original"]["value"]["data"] == "{bad"
    assert queue.ask("replay", dry_run=True)["ready"] == 2
    assert queue.ask("replay")["replayed"] == 2
    (first, its_headers), (second, other) = sent(queue, 2)
    assert (first, second) == (b'{"a": 1}', b"{bad")
    name = its_headers.pop("__engine.replay.letter").decode()
    assert name.startswith(f"{queue.name}/0@0/")
    assert its_headers == {"h": b"1", "i": b"2", "__engine.replay.count": b"1"}
    assert other["h"] == b"1"
    again = queue.ask("replay", dry_run=True)
    assert (again["ready"], again["skipped"]) == (0, {"replayed already": 2})
    assert queue.ask("replay")["replayed"] == 0
    assert queue.places(where=("replayed=true", "edited=true")) == ["0@0"]


def test_a_large_letter_is_sent_wherever_it_fits_and_spoils_no_other(
    kafka: str, topic: str, tmp_path: Path
) -> None:
    queue = Queue(kafka, topic, tmp_path)
    large = {"value": b"x" * 2_000_000}
    create(kafka, queue.name, 1, {"max.message.bytes": "4000000"})
    create(kafka, topic, 1, {"max.message.bytes": "3000000"})
    queue.keep(queue.letter(0, of=large), queue.letter(1, of={"value": b"x" * 3_500_000}))
    queue.keep(queue.letter(2))
    answers = list(queue.all_of("replay"))
    assert sum(each["replayed"] for each in answers) == 2
    [refused] = [refused for each in answers for refused in each["refused"]]
    assert (refused["letter"], "too large" in refused["reason"]) == ("0@1", True)
    assert [len(value) for value, _ in sent(queue, 2)] == [2_000_000, 4]
    assert queue.places(where=("replayed=false", "uncertain=false")) == ["0@1"]


def test_without_kafka_the_file_can_still_be_looked_at(queue: Queue) -> None:
    queue.kafka = "127.0.0.1:1"
    with pytest.raises(RetriableError, match="--queue file shows the letters in the worker's own"):
        queue.ask("list")
    assert queue.ask("list", queue="file")["total"] == 0


def test_what_is_not_to_be_sent_is_left_alone_with_the_reason(queue: Queue) -> None:
    marked = (("__engine.replay.count", b"1"),)
    queue.keep(
        queue.letter(0), queue.letter(0), queue.letter(1, of={"headers": marked}),
        queue.letter(2, stage="KAFKA_CONSUME"), queue.letter(3, connector="other"),
    )  # fmt: skip
    queue.keep(queue.letter(4), context=False)
    unknown = "where it came from is not known; --to TOPIC says where to send"
    found = queue.ask("replay", dry_run=True)
    assert found["ready"] == 1
    assert found["skipped"] == {
        "the same failure of the same record is another letter, too": 1,
        "failed again after a replay": 1,
        "the record itself could not be read": 1,
        unknown: 1,
    }
    other = queue.ask("replay", dry_run=True, where=("connector=other",))
    assert other["skipped"] == {"a letter of connector other, which is to replay it": 1}
    assert queue.ask("replay", dry_run=True, topic=queue.topic)["skipped"].get(unknown) is None
    assert queue.ask("replay")["replayed"] == 1
    twin = "the same failure of the same record was replayed from another letter"
    assert queue.ask("replay", dry_run=True)["skipped"][twin] == 1


def test_other_letters_at_the_same_places_of_a_topic_made_anew_are_others(queue: Queue) -> None:
    queue.keep(queue.letter(0))
    assert queue.ask("replay")["replayed"] == 1
    admin = AdminClient({"bootstrap.servers": queue.kafka})
    admin.delete_topics([queue.name])[queue.name].result(20)
    wait_until(lambda: is_made(queue))
    queue.keep(queue.letter(1))
    assert queue.places(where=("replayed=false",)) == ["0@0"]
    assert queue.ask("replay")["replayed"] == 1


def is_made(queue: Queue) -> bool:
    """Whether the queue's topic could be made; one that is being deleted is still in the way."""
    try:
        create(queue.kafka, queue.name, 2)
    except KafkaException:
        return False
    return True


def test_a_topic_is_cut_only_before_letters_that_are_to_stay(queue: Queue) -> None:
    queue.keep(
        *(queue.letter(i, stage="TASK_PUT" if i == 3 else "TRANSFORMATION") for i in range(6))
    )
    queue.keep(*map(queue.letter, range(10, 13)), partition=1)
    held = queue.ask("purge", where=("stage=TRANSFORMATION",), dry_run=True)
    assert (held["matched"], held["purgeable"], held["held"]) == (5, 3, [0, 1])
    beginning = {"where": ("number<3", "stage=TRANSFORMATION")}
    assert queue.ask("purge", dry_run=True, **beginning)["cuts"] == {"0": 3}
    assert queue.places() == [*(f"0@{i}" for i in range(6)), "1@0", "1@1", "1@2"]
    assert queue.ask("purge", **beginning)["purged"] == 3
    assert queue.places() == ["0@3", "0@4", "0@5", "1@0", "1@1", "1@2"]
    assert queue.ask("purge", where=("stage=TRANSFORMATION",))["purged"] == 0
    # a later request cannot cut off what an earlier one has left
    assert queue.ask("purge", where=("stage=TRANSFORMATION",), after="0@3")["purged"] == 0
    queue.keep(queue.letter(20, connector="other"), partition=1)
    everything = queue.ask("purge")
    assert (everything["matched"], everything["purged"]) == (6, 6)
    assert queue.places() == ["1@3"]


@pytest.mark.parametrize("action", ["list", "replay", "purge"])
def test_letters_that_take_many_requests_are_all_dealt_with(
    queue: Queue, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request looks at one page at most, as if there were very many letters."""
    monkeypatch.setattr(scan, "SECONDS", 0.0)
    queue.keep(*map(queue.letter, range(700)))
    queue.keep(*map(queue.letter, range(700, 900)), partition=1)
    told = {"list": "total", "replay": "replayed", "purge": "purged"}
    answers = list(queue.all_of(action))
    assert len(answers) > 2
    assert sum(answer[told[action]] for answer in answers) == 900
    if action == "replay":
        assert [value for value, _ in sent(queue, 900)] == [b"{bad"] * 900
    if action == "purge":
        assert queue.places() == []


def test_a_replay_that_was_cut_short_is_settled_however_much_came_after_it(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request reads no more than a page of what came."""
    queue.keep(queue.letter(0), queue.letter(1))
    send_one_and_forget(queue)
    producer = Producer({"bootstrap.servers": queue.kafka})
    for _ in range(2000):
        producer.produce(queue.topic, b"something else")
    assert producer.flush(30) == 0
    monkeypatch.setattr("engine.task.letters.replay._LOOKING", 0.0)
    answers = list(queue.all_of("replay"))
    assert [sum(a[name] for a in answers) for name in ("confirmed", "replayed")] == [1, 1]
    found = sent(queue, 2002)
    names = [headers["__engine.replay.letter"] for _, headers in found if headers]
    assert len(names) == len(set(names)) == 2


def send_one_and_forget(queue: Queue) -> None:
    """As a kill leaves it: the first letter is sent, and nobody knows which of them are."""
    assert queue.ask("replay", limit=1)["replayed"] == 1
    [store] = letter_stores(
        queue.config, {"bootstrap.servers": queue.kafka}, queue.data_dir, "topic"
    )
    for page in store.pages(BEGINNING):
        store.handle(page, begin_replay(queue.topic, {0: 0}, 1))
    store.close()
    assert queue.places(where=("uncertain=true",)) == ["0@0", "0@1"]


def test_a_letter_that_is_being_replayed_cannot_be_edited(queue: Queue) -> None:
    queue.keep(queue.letter(0), queue.letter(1))
    send_one_and_forget(queue)
    with pytest.raises(LettersRequestError, match="letter 0@0 is being replayed"):
        queue.ask("edit", letter="0@0", value="x")
