"""Sends dead letters again: to the topic that their records came from, or were to go to.

Each is sent with headers that say which letter it is and how often its record was replayed. That
one is about to be sent is remembered before, that Kafka has it after. A replay that was killed in
between is settled by the next one, which looks for the letter's header in the topic.
"""

import base64
import fcntl
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from engine.api.connector import SourceConnector
from engine.kafka.client_config import (
    ClientConfig,
    admin_config,
    consumer_config,
    producer_config,
)
from engine.kafka.producer import TaskProducer
from engine.kafka.replay import ReplayTopic
from engine.model.dead_letter import RawRecord
from engine.model.error_policy import Stage
from engine.model.letter_request import LettersRequestError
from engine.storage.dead_letter_store import DeadLetterStore, StoredLetter
from engine.task.letter_reader import envelope_of

LETTER_HEADER: Final = "__engine.replay.letter"
"""CONNECTOR/NUMBER/TIME of the letter that was sent."""

COUNT_HEADER: Final = "__engine.replay.count"
"""How often this record was replayed, through however many letters."""

_MARKERS: Final = (LETTER_HEADER, COUNT_HEADER)
_PATIENCE: Final = 4.0
_MOST_BYTES: Final = 4 << 20


def why_not(stored: StoredLetter, *, again: bool) -> str | None:
    """Why a letter is not sent; None when it is."""
    if stored.replayed_ms is not None and not again:
        return "replayed already"
    if not again and any(name in _MARKERS for name, _ in stored.letter.record.headers):
        return "failed again after a replay"
    if stored.letter.stage is Stage.KAFKA_CONSUME and stored.edited is None:
        return "the record itself could not be read"
    if outgoing_of(stored.record) is None:
        return "a source's record that was never converted to bytes"
    return None


def outgoing_of(record: RawRecord) -> RawRecord | None:
    """The bytes to send; None for a source's record of which there are none."""
    envelope = envelope_of(record)
    if envelope is None:
        return record
    try:
        return RawRecord(
            envelope["topic"],
            key=_bytes_of(envelope["key"]),
            value=_bytes_of(envelope["value"]),
            headers=tuple((each["name"], _bytes_of(each["value"])) for each in envelope["headers"]),
            partition=envelope.get("partition"),
            timestamp=envelope.get("timestamp"),
        )
    except (KeyError, TypeError, ValueError):
        return None


def replay_client(kind: type, config: Mapping[str, str], worker: Mapping[str, str]) -> ClientConfig:
    """A producer's configuration; a sink's letters go to the cluster that it reads."""
    client_id = f"connector-replay-{config['name']}"
    producer = producer_config(worker, config, client_id)
    if issubclass(kind, SourceConnector):
        return producer
    consumer = consumer_config(worker, config, client_id, client_id)
    return replace(
        producer, properties={**producer.properties, **admin_config(consumer, client_id)}
    )


class LetterReplay:
    """One portion of a replay.

    Args:
        store: the connector's letters.
        client: of :func:`replay_client`.
        connector: the connector's name.
        now_ms: tells the time.
    """

    def __init__(
        self,
        store: DeadLetterStore,
        client: ClientConfig,
        connector: str,
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._client = client
        self._connector = connector
        self._now_ms = now_ms
        self._delivered: list[int] = []
        self._refused: list[tuple[int, str]] = []

    def send(self, letters: Sequence[StoredLetter], topic: str | None) -> dict[str, Any]:
        """Send letters and wait until Kafka has them.

        Raises:
            ConnectError: the cluster does not answer; what was sent is settled by the next replay.
            StoreError: the file cannot be written.
        """
        there = self._settle([each for each in letters if each.is_uncertain])
        by_topic: dict[str, list[tuple[StoredLetter, RawRecord]]] = defaultdict(list)
        for stored in letters:
            outgoing = outgoing_of(stored.record)
            if stored.number not in there and outgoing is not None:
                by_topic[topic or outgoing.topic].append((stored, outgoing))
        for target, chosen in by_topic.items():
            self._send(target, chosen)
        sent = sum(map(len, by_topic.values()))
        return {
            "replayed": len(self._delivered),
            "confirmed": len(there),
            "refused": [{"number": n, "reason": reason} for n, reason in self._refused],
            "uncertain": sent - len(self._delivered) - len(self._refused),
        }

    def _settle(self, letters: Sequence[StoredLetter]) -> set[int]:
        """Numbers of the letters that an interrupted replay has brought to Kafka after all."""
        there: set[int] = set()
        by_topic: dict[str, list[StoredLetter]] = defaultdict(list)
        for stored in letters:
            by_topic[stored.replay_topic or ""].append(stored)
        for topic, uncertain in by_topic.items():
            wanted = {self._id(stored): stored for stored in uncertain}
            begins = {
                partition: min(stored.replay_ends.get(partition, 0) for stored in uncertain)
                for stored in uncertain
                for partition in stored.replay_ends
            }
            found = ReplayTopic(self._client, topic).headers_behind(begins, LETTER_HEADER)
            for partition, offset, name in found:
                one = wanted.get(name)
                if one is not None and offset >= one.replay_ends.get(partition, 0):
                    there.add(one.number)
        self._store.end_replay(there, self._now_ms())
        return there

    def _send(self, topic: str, chosen: Sequence[tuple[StoredLetter, RawRecord]]) -> None:
        ends = ReplayTopic(self._client, topic).ends()
        numbers = [stored.number for stored, _ in chosen]
        self._store.begin_replay(numbers, topic, ends, self._now_ms())
        producer = TaskProducer(self._client, lambda: True, hears_all=True)
        try:
            for stored, outgoing in chosen:
                self._send_one(producer, topic, ends, stored, outgoing)
            producer.flush(_PATIENCE)
        finally:
            producer.close()
            self._store.end_replay(self._delivered, self._now_ms())
            self._store.end_replay([number for number, _ in self._refused], None)

    def _send_one(
        self,
        producer: TaskProducer,
        topic: str,
        ends: Mapping[int, int],
        stored: StoredLetter,
        outgoing: RawRecord,
    ) -> None:
        message: dict[str, Any] = {
            "key": outgoing.key,
            "value": outgoing.value,
            "headers": self._headers(stored, outgoing),
            "callback": partial(self._on_delivery, stored.number),
        }
        if outgoing.partition in ends and topic == outgoing.topic:
            message["partition"] = outgoing.partition
        if outgoing.timestamp is not None:
            message["timestamp"] = outgoing.timestamp
        producer.send_each(topic, [message])
        if producer.failures:  # by the client itself; brokers answer through the callback
            self._refused.append((stored.number, producer.failures.pop().reason))

    def _on_delivery(self, number: int, error: Any, _message: Any) -> None:
        """Runs inside the client's poll and only remembers."""
        if error is None:
            self._delivered.append(number)
        elif error.name() not in ("_TIMED_OUT", "_MSG_TIMED_OUT", "REQUEST_TIMED_OUT"):
            self._refused.append((number, error.str()))

    def _headers(self, stored: StoredLetter, outgoing: RawRecord) -> list[tuple[str, bytes | None]]:
        counts = [value or b"" for name, value in outgoing.headers if name == COUNT_HEADER]
        count = int(counts[-1]) if counts and counts[-1].isdigit() else 0
        kept = [each for each in outgoing.headers if each[0] not in _MARKERS]
        marks = ((LETTER_HEADER, self._id(stored)), (COUNT_HEADER, str(count + 1)))
        return [*kept, *((name, text.encode()) for name, text in marks)]

    def _id(self, stored: StoredLetter) -> str:
        return f"{self._connector}/{stored.number}/{stored.first_failed_ms}"


def portion(letters: Sequence[StoredLetter]) -> Sequence[StoredLetter]:
    """So many of the first letters as one process may send in its time; at least one."""
    size = 0
    for i, stored in enumerate(letters):
        size += stored.record.size
        if i and size > _MOST_BYTES:
            return letters[:i]
    return letters


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """No two replays of a connector at once; the lock ends with its process, however that ends.

    Raises:
        LettersRequestError: there is another one.
    """
    fd = os.open(path.with_suffix(".replay"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise LettersRequestError("another replay of these letters is running") from None
    finally:
        os.close(fd)


def _bytes_of(field: Mapping[str, Any]) -> bytes | None:
    """The bytes in an envelope's field.

    Raises:
        ValueError: there are none.
    """
    if "base64" in field:
        return base64.b64decode(field["base64"])
    if field.get("connect", {}).get("payload", 0) is None:
        return None
    raise ValueError("a value that was not converted")
