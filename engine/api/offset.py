"""How a source learns where it stopped."""

from collections.abc import Iterable
from typing import Protocol

from engine.api.record import Offset, Partition


class OffsetStorageReader(Protocol):
    """Reads committed source offsets (upstream: ``OffsetStorageReader``)."""

    def offset(self, partition: Partition) -> Offset | None:
        """The last committed offset of a source partition, or None."""

    def offsets(self, partitions: Iterable[Partition]) -> list[Offset | None]:
        """The last committed offsets of several source partitions, in their order."""
