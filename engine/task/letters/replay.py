"""Sends dead letters again: to the topic that their records came from, or were to go to.

Each is sent with headers that say which letter it is and how often its record was replayed. That
one is about to be sent is remembered before, that Kafka has it after. A replay that was killed in
between is settled by the next one, which looks for the letter's header in the topic.
"""

import fcntl
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from engine.api.connector import SourceConnector
from engine.api.errors import NotFoundError
from engine.kafka.client_config import (
    ClientConfig,
    connection,
    consumer_config,
    producer_config,
)
from engine.kafka.producer import TaskProducer
from engine.kafka.topic_reader import Span, TopicReader
from engine.model.error_policy import Stage
from engine.model.letters.context import COUNT_HEADER, LETTER_HEADER
from engine.model.letters.dead_letter import DeadLetter, RawRecord
from engine.model.letters.request import MOST_AT_ONCE, LettersRequest, LettersRequestError
from engine.model.letters.stored_letter import StoredLetter
from engine.storage import letter_handling
from engine.storage.database import connector_file, make_directory_of
from engine.task.letters.conversion import POISON, LetterConversion, NotSendableError

_MARKERS: Final = (LETTER_HEADER, COUNT_HEADER)
_PATIENCE: Final = 4.0
_LOOKING: Final = 2.0
_MOST_BYTES: Final = 4 << 20

Handle = Callable[[Iterable[StoredLetter], letter_handling.Change], None]
"""Remembers what was done to letters."""


def why_not(stored: StoredLetter, connector: str, *, again: bool) -> str | None:
    """Why a letter of this connector is not sent; None when it may be."""
    letter = stored.letter
    if letter.connector not in (connector, None):
        return f"a letter of connector {letter.connector}, which is to replay it"
    if not again:
        if stored.is_replayed:
            return "replayed already"
        if stored.twin is not None:
            return "the same failure of the same record was replayed from another letter"
        reason = None if stored.edited is not None else _why_not_unchanged(letter)
        if reason is not None:  # whoever has changed it means it to be sent
            return reason
    if letter.stage == Stage.KAFKA_CONSUME and stored.edited is None:
        return "the record itself could not be read"
    return None


def _why_not_unchanged(letter: DeadLetter) -> str | None:
    if any(name in _MARKERS for name, _ in letter.record.headers):
        return "failed again after a replay"
    if (letter.exception or "").endswith(POISON):
        return "it ends processes as it is"
    return None


class Portion:
    """So many letters as one process may send in its time; at least one.

    Args:
        request: what is wanted.
        connector: whose letters these are.

    Attributes:
        letters: what is to be sent, and where: in order.
    """

    def __init__(self, request: LettersRequest, connector: str) -> None:
        self.letters: list[tuple[StoredLetter, RawRecord]] = []
        self._request = request
        self._connector = connector
        self._most = min(max(request.limit, 1), MOST_AT_ONCE)
        self._ids: set[str] = set()
        self._size = 0

    @property
    def is_full(self) -> bool:
        """Whether no more should be sent at once."""
        return len(self.letters) >= self._most or self._size >= _MOST_BYTES

    def outgoing(self, stored: StoredLetter, conversion: LetterConversion) -> RawRecord:
        """The record to send.

        Raises:
            NotSendableError: the letter is left alone.
        """
        again = self._request.again
        reason = why_not(stored, self._connector, again=again)
        if reason is None and not again and stored.id in self._ids:
            reason = "the same failure of the same record is another letter, too"
        if reason is not None:
            raise NotSendableError(reason)
        made = conversion.outgoing(stored)
        topic = self._request.topic or made.topic
        if not topic:
            raise NotSendableError("where it came from is not known; --to TOPIC says where to send")
        if stored.id is not None:
            self._ids.add(stored.id)
        return made if topic == made.topic else replace(made, topic=topic, partition=None)

    def add(self, stored: StoredLetter, conversion: LetterConversion) -> None:
        """Take a letter.

        Raises:
            NotSendableError: it is left alone.
        """
        made = self.outgoing(stored, conversion)
        self.letters.append((stored, made))
        self._size += made.size


def replay_client(kind: type, config: Mapping[str, str], worker: Mapping[str, str]) -> ClientConfig:
    """A producer's configuration; a sink's letters go to the cluster that it reads."""
    client_id = f"connector-replay-{config['name']}"
    producer = producer_config(worker, config, client_id)
    producer.send_alone()
    if issubclass(kind, SourceConnector):
        return producer
    consumer = consumer_config(worker, config, client_id, client_id)
    return replace(producer, properties={**producer.properties, **connection(consumer)})


class LetterReplay:
    """One portion of a replay.

    Args:
        client: of :func:`replay_client`.
        handle: remembers how far it has come.
        now_ms: tells the time.
    """

    def __init__(self, client: ClientConfig, handle: Handle, now_ms: Callable[[], int]) -> None:
        self._client = client
        self._handle = handle
        self._now_ms = now_ms
        self._delivered: list[StoredLetter] = []
        self._refused: list[tuple[StoredLetter, str]] = []

    def send(self, letters: Sequence[tuple[StoredLetter, RawRecord]]) -> dict[str, Any]:
        """Send letters and wait until Kafka has them.

        The same portion is to be repeated where it is not known yet which letters an earlier replay
        has sent: there is much to be read in their topic.

        Raises:
            NotFoundError: a topic is not there.
            ConnectError: the cluster does not answer, or a file cannot be written; what was sent is
                settled by the next replay.
        """
        uncertain = [stored for stored, _ in letters if stored.is_uncertain]
        settled, is_late = self._settle(uncertain)
        there = {stored.place for stored in settled}
        is_open = is_late and any(each.place not in there for each in uncertain)
        by_topic: dict[str, list[tuple[StoredLetter, RawRecord]]] = defaultdict(list)
        for stored, outgoing in () if is_open else letters:
            if stored.place not in there:
                by_topic[outgoing.topic].append((stored, outgoing))
        for target, chosen in by_topic.items():
            self._send(target, chosen)
        sent = sum(map(len, by_topic.values()))
        return {
            "replayed": len(self._delivered),
            "confirmed": len(there),
            "refused": [
                {"letter": str(stored.place), "reason": reason} for stored, reason in self._refused
            ],
            "uncertain": sent - len(self._delivered) - len(self._refused),
            "is_to_be_repeated": is_open,
        }

    # ---- what an earlier replay has done ------------------------------------------------------

    def _settle(self, uncertain: Sequence[StoredLetter]) -> tuple[list[StoredLetter], bool]:
        """What an interrupted replay has brought to Kafka after all; whether more is to be read."""
        deadline = time.monotonic() + _LOOKING
        found, is_late = list[StoredLetter](), False
        by_topic: dict[str, list[StoredLetter]] = defaultdict(list)
        for stored in uncertain:
            by_topic[stored.handling.replay_topic or ""].append(stored)
        for topic, letters in by_topic.items():
            there, ended_late = self._look_up(topic, letters, deadline)
            found += there
            is_late = is_late or ended_late
        return found, is_late

    def _look_up(
        self, topic: str, letters: Sequence[StoredLetter], deadline: float
    ) -> tuple[list[StoredLetter], bool]:
        wanted = {stored.name: stored for stored in letters}
        there: dict[str, StoredLetter] = {}
        read_to: dict[int, int] = {}
        is_late = False
        reader = TopicReader(self._client, topic)
        try:
            for partition, page in _since(reader, letters):
                for offset, name in page:
                    one = wanted.get(name or "")
                    if one is not None and offset >= one.handling.replay_ends.get(partition, 0):
                        there[one.name] = one
                    read_to[partition] = offset + 1
                # behind a page with something: else the next attempt begins where this one did
                is_late = bool(page) and time.monotonic() >= deadline
                if is_late or len(there) == len(wanted):
                    break
        finally:
            reader.close()
        self._handle(there.values(), letter_handling.end_replay(self._now_ms()))
        if is_late:  # the next attempt goes on from here
            for stored in letters:
                if stored.name not in there:
                    ends = {**read_to, **stored.handling.replay_ends}
                    behind = {p: max(end, read_to.get(p, 0)) for p, end in ends.items()}
                    self._handle([stored], letter_handling.looked_up(behind))
        return list(there.values()), is_late

    # ---- sending ------------------------------------------------------------------------------

    def _send(self, topic: str, chosen: Sequence[tuple[StoredLetter, RawRecord]]) -> None:
        reader = TopicReader(self._client, topic)
        ends = {partition: span.end for partition, span in reader.spans().items()}
        reader.close()
        if not ends:
            raise NotFoundError(f"There is no topic {topic} to send letters to")
        letters = [stored for stored, _ in chosen]
        self._handle(letters, letter_handling.begin_replay(topic, ends, self._now_ms()))
        before = len(self._delivered), len(self._refused)
        producer = TaskProducer(self._client, lambda: True, hears_all=True)
        try:
            for stored, outgoing in chosen:
                self._send_one(producer, ends, stored, outgoing)
            producer.flush(_PATIENCE)
        finally:
            producer.close()
            sent, refused = self._delivered[before[0] :], self._refused[before[1] :]
            self._handle(sent, letter_handling.end_replay(self._now_ms()))
            self._handle([stored for stored, _ in refused], letter_handling.end_replay(None))

    def _send_one(
        self,
        producer: TaskProducer,
        ends: Mapping[int, int],
        stored: StoredLetter,
        outgoing: RawRecord,
    ) -> None:
        message: dict[str, Any] = {
            "key": outgoing.key,
            "value": outgoing.value,
            "headers": _marked(stored, outgoing),
            "callback": partial(self._on_delivery, stored),
        }
        if outgoing.partition in ends:
            message["partition"] = outgoing.partition
        if outgoing.timestamp is not None:
            message["timestamp"] = outgoing.timestamp
        producer.send_each(outgoing.topic, [message])
        if producer.failures:  # by the client itself; brokers answer through the callback
            self._refused.append((stored, producer.failures.pop().reason))

    def _on_delivery(self, stored: StoredLetter, error: Any, _message: Any) -> None:
        """Runs inside the client's poll and only remembers."""
        if error is None:
            self._delivered.append(stored)
        elif error.name() not in ("_TIMED_OUT", "_MSG_TIMED_OUT", "REQUEST_TIMED_OUT"):
            self._refused.append((stored, error.str()))


def _since(
    reader: TopicReader, letters: Sequence[StoredLetter]
) -> Iterator[tuple[int, list[tuple[int, str | None]]]]:
    """What came into a topic since letters were sent: partitions, and offsets with their marks."""
    for partition, span in reader.spans().items():
        began = min(stored.handling.replay_ends.get(partition, 0) for stored in letters)
        for messages in reader.pages(partition, Span(max(began, span.begin), span.end)):
            yield partition, [(message.offset() or 0, _mark_of(message)) for message in messages]


def _mark_of(message: Any) -> str | None:
    found = dict(message.headers() or ()).get(LETTER_HEADER)
    return found.decode(errors="replace") if isinstance(found, bytes) else None


def _marked(stored: StoredLetter, outgoing: RawRecord) -> list[tuple[str, bytes | None]]:
    """The record's headers, and those that say that it is a letter's."""
    of_letter = (*stored.letter.record.headers, *outgoing.headers)
    counts = [value or b"" for name, value in of_letter if name == COUNT_HEADER]
    count = int(counts[-1]) if counts and counts[-1].isdigit() else 0
    kept = [each for each in outgoing.headers if each[0] not in _MARKERS]
    marks = ((LETTER_HEADER, stored.name), (COUNT_HEADER, str(count + 1)))
    return [*kept, *((name, text.encode()) for name, text in marks)]


@contextmanager
def only_one(data_dir: Path, connector: str) -> Iterator[None]:
    """No two replays of a connector at once; the lock ends with its process, however that ends.

    Raises:
        LettersRequestError: there is another one.
    """
    path = connector_file(data_dir, "dead-letters", connector).with_suffix(".replay")
    make_directory_of(path)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise LettersRequestError("another replay of these letters is running") from None
    finally:
        os.close(fd)
