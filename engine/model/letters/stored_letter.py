"""A dead letter where it is kept, with what was done to it. Nothing here does I/O."""

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from engine.model.letters.dead_letter import DeadLetter, RawHeaders, RawRecord
from engine.model.letters.place import LetterPlace


class Handling(msgspec.Struct, frozen=True):
    """What was done to a letter. Times are milliseconds since the epoch.

    Attributes:
        edited_ms: when somebody has changed it; key, value and headers mean nothing without it.
        headers: the changed ones; None for the original's.
        replay_begun_ms: when it was last about to be sent; None before, and when it was refused.
        replayed_ms: when Kafka had it again, the last time.
        replay_topic: where it was sent.
        replay_ends: the ends of that topic's partitions before: what was sent lies behind them.
    """

    edited_ms: int | None = None
    key: bytes | None = None
    value: bytes | None = None
    headers: RawHeaders | None = None
    replay_begun_ms: int | None = None
    replayed_ms: int | None = None
    replay_topic: str | None = None
    replay_ends: Mapping[int, int] = msgspec.field(default_factory=dict)


class StoredLetter(msgspec.Struct, frozen=True):
    """A letter in a file or a topic.

    Attributes:
        place: grows with every letter of the file or the partition; never used twice.
        times: how often this failure of this record was met.
        first_failed_ms: when for the first time; ``letter.failed_ms`` is the last.
        name: tells a replayed record which letter it was, in all the world.
        id: the same for the same failure of the same record, where that is known.
        queue: the topic's name; None for the file.
        twin: where the same failure of the same record is kept too, and was sent from there.
    """

    place: LetterPlace
    times: int
    first_failed_ms: int | None
    letter: DeadLetter
    handling: Handling = Handling()
    name: str = ""
    id: str | None = None
    queue: str | None = None
    twin: LetterPlace | None = None

    @property
    def edited(self) -> RawRecord | None:
        """The record as somebody has changed it; the letter keeps the original."""
        done, original = self.handling, self.letter.record
        if done.edited_ms is None:
            return None
        headers = original.headers if done.headers is None else done.headers
        # a record with another key belongs where that key's records are
        partition = original.partition if done.key == original.key else None
        return replace(
            original, key=done.key, value=done.value, headers=headers, partition=partition
        )

    @property
    def record(self) -> RawRecord:
        """What a replay sends."""
        return self.edited or self.letter.record

    @property
    def is_replayed(self) -> bool:
        """Whether Kafka has the record again."""
        return self.handling.replayed_ms is not None and not self.is_uncertain

    @property
    def is_uncertain(self) -> bool:
        """Whether the last replay ended before anybody knew whether Kafka has the record."""
        begun, replayed = self.handling.replay_begun_ms, self.handling.replayed_ms
        return begun is not None and (replayed is None or replayed < begun)
