"""What of a batch is still to be put: all of it at first, halves of halves after a failure."""

from collections import deque

from engine.api.record import SinkBatch, TopicPartition
from engine.task.sink.batch import without


class PutQueue:
    """Pieces of one batch, in the order of its records.

    A piece that fails is split, so that what remains in the end are single records. The order of
    the others is never changed: a piece is put before the next one is begun.
    """

    def __init__(self) -> None:
        self._pieces: deque[SinkBatch] = deque()

    def __bool__(self) -> bool:
        return bool(self._pieces)

    @property
    def first(self) -> SinkBatch:
        """The piece that is to be put next."""
        return self._pieces[0]

    def begin(self, batch: SinkBatch) -> None:
        """Take a batch; nothing is left of the one before."""
        self._pieces.append(batch)

    def done(self) -> None:
        """The first piece is put, or given up."""
        self._pieces.popleft()

    def split(self) -> None:
        """Put the first piece, which has several records, in two halves."""
        piece = self._pieces.popleft()
        middle = len(piece) // 2
        self._pieces.extendleft((piece.part(middle, len(piece)), piece.part(0, middle)))

    def forget(self, partitions: frozenset[TopicPartition]) -> None:
        """Somebody else puts the records of these partitions from now on."""
        left = (without(piece, partitions) for piece in self._pieces)
        self._pieces = deque(piece for piece in left if len(piece))

    def clear(self) -> None:
        """Forget everything: it is read again."""
        self._pieces.clear()
