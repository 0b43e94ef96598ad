"""Dead letters in a Kafka topic, those of Kafka Connect among them, with what was done to them."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import Any, Final

from msgspec.structs import replace

from engine.kafka.fetch import appended_ms, raw_record
from engine.kafka.topic_reader import Span, TopicReader
from engine.model.letters.context import letter_of
from engine.model.letters.dead_letter import DeadLetter, RawRecord
from engine.model.letters.place import LetterPlace
from engine.model.letters.stored_letter import Handling, StoredLetter
from engine.storage.letter_handling import Change
from engine.storage.letter_notes import LetterNotes
from engine.task.source_envelope import envelope_of

_DIGEST_BYTES: Final = 8


class TopicLetters:
    """The letters of a topic; other connectors may write to it, too.

    Args:
        reader: of the topic.
        notes: what was done to its letters.
    """

    is_file = False

    def __init__(self, reader: TopicReader, notes: LetterNotes) -> None:
        self._reader = reader
        self._notes = notes
        self._spans: dict[int, Span] | None = None
        self._begun_behind: set[int] = set()

    def count(self) -> int:
        """How many letters there are, if there are no gaps in the topic."""
        return sum(span.end - span.begin for span in self._known_spans().values())

    def pages(self, after: LetterPlace) -> Iterator[Sequence[StoredLetter]]:
        """All letters behind a place that were there when they were first asked for."""
        for partition, (begin, end) in self._known_spans().items():
            if partition < after.partition:
                continue
            first = max(begin, after.number + 1) if partition == after.partition else begin
            if first > begin:
                self._begun_behind.add(partition)
            for messages in self._reader.pages(partition, Span(first, end)):
                yield self._stored(messages)

    def letter(self, place: LetterPlace) -> StoredLetter | None:
        """One letter, if it is there."""
        begin, end = self._known_spans().get(place.partition, Span(0, 0))
        if not begin <= place.number < end:
            return None
        span = Span(place.number, place.number + 1)
        for messages in self._reader.pages(place.partition, span):
            for stored in self._stored(messages):
                if stored.place == place:
                    return stored
        return None

    def handle(self, letters: Iterable[StoredLetter], change: Change) -> None:
        """Remember what was done to letters that were read here."""
        self._notes.forget({p: span.begin for p, span in self._known_spans().items()})
        self._notes.write(letters, change)

    def removable(
        self, page: Sequence[tuple[StoredLetter, bool]], held: set[int], *, dry_run: bool
    ) -> Sequence[LetterPlace]:
        """The marked letters that no other one stands before.

        A topic can lose nothing but its beginning: what is marked and stands behind a letter that
        is not stays where it is.
        """
        if not page:
            return ()
        partition = page[0][0].place.partition
        if not dry_run:
            held |= self._begun_behind
        if partition in held:
            return ()
        free = [stored.place for stored, _ in takewhile(lambda each: each[1], page)]
        if len(free) < len(page):
            held.add(partition)
        return free

    def remove(self, places: Iterable[LetterPlace]) -> None:
        """Cut partitions behind the last of these letters."""
        last = dict(sorted(places))
        for partition, number in last.items():
            self._reader.cut(partition, number + 1)

    def close(self) -> None:
        """Let go of the client and of the notes."""
        self._reader.close()
        self._notes.close()

    def _known_spans(self) -> dict[int, Span]:
        if self._spans is None:
            self._spans = self._reader.spans()
        return self._spans

    def _stored(self, messages: Sequence[Any]) -> list[StoredLetter]:
        letters = [_letter(self._reader.topic, message) for message in messages]
        done = self._notes.about(letters)
        sent = self._notes.sent(each.id for each in letters if each.id is not None)
        return [
            replace(each, handling=done.get(each.place, Handling()), twin=_twin(each, sent))
            for each in letters
        ]


def _letter(topic: str, message: Any) -> StoredLetter:
    kept = raw_record(message)
    appended = appended_ms(message)
    if appended is not None:  # when the letter came, and the record's time is lost
        kept = replace(kept, timestamp=None)
    letter, known_id = letter_of(kept)
    if letter.failed_ms is None:
        letter = replace(letter, failed_ms=appended)
    place = LetterPlace(message.partition(), message.offset())
    return StoredLetter(
        place,
        1,
        letter.failed_ms,
        _opened(letter),
        name=f"{topic}/{place}/{_digest(kept)}",
        id=known_id,
        queue=topic,
    )


def _opened(letter: DeadLetter) -> DeadLetter:
    """A source's letter with what its envelope says."""
    found = envelope_of(letter.record)
    if found is None:
        return letter
    record = replace(
        letter.record,
        topic=found["topic"],
        source_partition=found.get("source_partition"),
        source_offset=found.get("source_offset"),
    )
    return replace(
        letter,
        record=record,
        connector=letter.connector or found.get("connector"),
        stage=letter.stage or found.get("stage"),
    )


def _twin(letter: StoredLetter, sent: dict[str, LetterPlace]) -> LetterPlace | None:
    found = None if letter.id is None else sent.get(letter.id)
    return None if found == letter.place else found


def _digest(kept: RawRecord) -> str:
    """Tells a letter from another one that stands at the same place of a topic made anew."""
    digest = hashlib.blake2b(repr(kept.timestamp).encode(), digest_size=_DIGEST_BYTES)
    for part in (kept.key, kept.value, *(data for _, data in kept.headers)):
        digest.update(b"\0" if part is None else b"\1%d " % len(part) + part)
    return digest.hexdigest()
