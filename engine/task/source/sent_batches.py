"""Where records came from that Kafka refuses after a while: batches that may be on their way yet.

So nothing is remembered for single records, and nothing at all where nobody keeps dead letters.
"""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from engine.api.record import Offset, SourceBatch
from engine.model.letters.dead_letter import RawRecord
from engine.task.source.conversion import Message, Outgoing


class _Sent(NamedTuple):
    outgoing: Outgoing
    batch: SourceBatch


class SentBatches:
    """The newest batches, at least twice as many records as are under way."""

    def __init__(self) -> None:
        self._sent: deque[_Sent] = deque()
        self._count = 0
        self._found = (0, 0)

    def remember(self, outgoing: Outgoing, batch: SourceBatch) -> None:
        """These messages were made of this batch and are about to be sent."""
        self._sent.append(_Sent(outgoing, batch))
        self._count += len(outgoing.messages)

    def trim(self, queued: int) -> None:
        """Forget what Kafka has: so many records are still under way."""
        sent = self._sent
        while sent and self._count - len(sent[0].outgoing.messages) >= 2 * queued:
            self._count -= len(sent.popleft().outgoing.messages)
            self._found = (0, 0)

    def find(self, record: RawRecord) -> RawRecord:
        """The record with its headers and its source offset, if its batch is still known.

        Records are refused in the order in which they were sent, so the search goes on where the
        last one ended. Kafka's client tells of a refused record its topic, key and value, no more:
        where several under way are equal in those, this may be another one of them.
        """
        for number, index, message in self._from_last(record.topic):
            if message["value"] == record.value and message.get("key") == record.key:
                self._found = (number, index + 1)
                found = self._sent[number]
                return replace(
                    record,
                    headers=message.get("headers", ()),
                    source_partition=found.batch.source_partition,
                    source_offset=_offset(found, index),
                )
        return record

    def _from_last(self, topic: str) -> Iterator[tuple[int, int, Message]]:
        """A topic's messages with their places, from behind the last that was found, and around."""
        sent, (first, start) = self._sent, self._found
        for number in (*range(first, len(sent)), *range(min(first + 1, len(sent)))):
            outgoing = sent[number].outgoing
            messages = outgoing.messages if outgoing.topic == topic else ()
            for index in range(start, len(messages)):
                yield number, index, messages[index]
            start = 0


def _offset(sent: _Sent, index: int) -> Offset | None:
    if sent.outgoing.records:
        return sent.outgoing.records[index].source_offset
    batch = sent.batch
    return batch.source_offsets[index] if batch.source_offsets else batch.source_offset
