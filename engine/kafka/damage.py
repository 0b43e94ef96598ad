"""Gets past records that are damaged in a broker's files, where the client would stay for ever."""

from typing import Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as ClientPartition

from engine.api.record import TopicPartition
from engine.kafka.errors import to_connect_error
from engine.model.damaged_range import DamagedRange

_DAMAGE: Final = frozenset(("_BAD_MSG", "_BAD_COMPRESSION"))
_PATIENCE: Final = 5.0


class Damage(NamedTuple):
    """Records that cannot be read: offsets from ``first`` to ``last``."""

    topic: str
    partition: int
    first: int
    last: int
    reason: str


class DamageSearch:
    """Finds where damage ends and lets the consumer read on there.

    While it searches in a partition, what is read from that one only shows that it can be.

    Attributes:
        found: what was passed; whoever deals with it clears the list.
    """

    def __init__(self, consumer: Consumer) -> None:
        self.found: list[Damage] = []
        self._consumer = consumer
        self._ranges: dict[TopicPartition, tuple[DamagedRange, str]] = {}

    @property
    def is_searching(self) -> bool:
        """Whether the end of some damage is being looked for."""
        return bool(self._ranges)

    def sift(self, messages: "list[Message]") -> "list[Message]":
        """The messages without errors that are damage, and without what only answers a probe.

        Raises:
            RetriableError: the client cannot read elsewhere.
        """
        answers: dict[TopicPartition, Message] = {}
        left = []
        for message in messages:
            at = TopicPartition(message.topic() or "", message.partition() or 0)
            if is_damage(message.error()) or (at in self._ranges and message.error() is None):
                answers.setdefault(at, message)  # what follows was read before we could look there
            else:
                left.append(message)
        for at, message in answers.items():
            self._take(at, message)
        return left

    def forget(self, partitions: frozenset[TopicPartition]) -> None:
        """Somebody else reads these now."""
        for each in partitions:
            self._ranges.pop(each, None)

    def _take(self, at: TopicPartition, message: Message) -> None:
        error, offset = message.error(), message.offset() or 0
        if at not in self._ranges:
            assert error is not None
            self._ranges[at] = (DamagedRange(offset, self._end_of(at)), error.str())
        elif error is not None:
            self._ranges[at][0].is_damaged()
        else:
            self._ranges[at][0].is_readable()
        damaged, reason = self._ranges[at]
        if damaged.next is None:
            self._seek(at, damaged.probe)
            return
        del self._ranges[at]
        self._seek(at, damaged.next)
        self.found.append(Damage(*at, damaged.first, damaged.last, reason))

    def _end_of(self, at: TopicPartition) -> int:
        try:
            _low, high = self._consumer.get_watermark_offsets(
                ClientPartition(*at), timeout=_PATIENCE
            )
        except KafkaException as error:
            raise to_connect_error(error, f"cannot ask for the end of {at}") from error
        return int(high)

    def _seek(self, at: TopicPartition, offset: int) -> None:
        try:
            self._consumer.seek(ClientPartition(*at, offset))
        except KafkaException as error:
            raise to_connect_error(error, f"cannot read behind damaged records of {at}") from error


def is_damage(error: KafkaError | None) -> bool:
    """Whether an error says that records were damaged where the broker keeps them."""
    return error is not None and error.name() in _DAMAGE
