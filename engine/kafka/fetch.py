"""What a consumer has read: messages as columns, and single ones as values of ours."""

from collections.abc import Sequence
from typing import Any, Final

from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, Message

from engine.api.record import Position, Timestamp
from engine.model.letters.dead_letter import RawRecord

_TIMESTAMP_TYPES: Final = {
    TIMESTAMP_CREATE_TIME: "CreateTime",
    TIMESTAMP_LOG_APPEND_TIME: "LogAppendTime",
}


class Fetch:
    """Messages in the order in which they came, read as columns."""

    __slots__ = ("messages",)

    def __init__(self, messages: "Sequence[Message]") -> None:
        self.messages = messages

    def __len__(self) -> int:
        return len(self.messages)

    def span(self) -> str:
        """From where to where it reaches: ``lines-0@100 to lines-3@299, 200 records``."""
        first, last = self.messages[0], self.messages[-1]
        return (
            f"{first.topic()}-{first.partition()}@{first.offset()} to "
            f"{last.topic()}-{last.partition()}@{last.offset()}, {len(self)} records"
        )

    def values(self) -> list[bytes | None]:
        """The raw values."""
        return list(map(Message.value, self.messages))

    def keys(self) -> list[bytes | None]:
        """The raw keys."""
        return list(map(Message.key, self.messages))

    def topics(self) -> list[str]:
        """The topic of each."""
        return list(map(Message.topic, self.messages))  # type: ignore[arg-type]

    def headers(self) -> list[Sequence[tuple[str, bytes | None]]]:
        """The raw headers of each."""
        return [m.headers() or () for m in self.messages]  # type: ignore[misc]

    def has_headers(self) -> bool:
        """Whether any record has headers."""
        return any(map(Message.headers, self.messages))

    def positions(self) -> list[Position]:
        """Topic, partition and offset of each."""
        return [
            Position(m.topic(), m.partition(), m.offset())  # type: ignore[arg-type]
            for m in self.messages
        ]

    def timestamps(self) -> list[Timestamp]:
        """Type and milliseconds of each record's time."""
        return [_timestamp(*m.timestamp()) for m in self.messages]


def raw_record(message: Any) -> RawRecord:
    """A consumed message as a value of ours."""
    _kind, milliseconds = message.timestamp()
    return RawRecord(
        message.topic(),
        key=message.key(),
        value=message.value(),
        headers=message.headers() or (),
        partition=message.partition(),
        offset=message.offset(),
        timestamp=milliseconds if milliseconds >= 0 else None,
    )


def first_since_back(offsets: Sequence[int], position: int | None) -> int:
    """Which of a partition's records was the first to be read since it came back within a fetch.

    Args:
        offsets: as they were read, before it went and after.
        position: the client's, which is unknown as long as nothing was read since.

    Returns:
        An index; behind the last one when all are from before. Those are read once more, while one
        from after it that is passed over would be lost.
    """
    for index in range(len(offsets) - 1, 0, -1):
        if offsets[index] <= offsets[index - 1]:
            return index
    return 0 if offsets and position == offsets[-1] + 1 else len(offsets)


def appended_ms(message: Any) -> int | None:
    """When the broker took a message, where its topic keeps that time instead of the record's."""
    kind, milliseconds = message.timestamp()
    return milliseconds if kind == TIMESTAMP_LOG_APPEND_TIME else None


def _timestamp(kind: int, milliseconds: int) -> Timestamp:
    name = _TIMESTAMP_TYPES.get(kind)
    return Timestamp(name, milliseconds) if name else Timestamp("NoTimestampType", None)
