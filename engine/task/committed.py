"""What a task has committed, written into its slot: whoever explains its death finds it there."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from engine.model.slot import LONGEST_COMMITTED, Slot

_MOST: Final = 16
"""Partitions that are told; of others there is only the number."""


class Committed:
    """Offsets by partition.

    A list of pairs: of a sink ``["lines-0", 2000]``, of a source both as the connector gave them.
    Where there are too many, the last element is the number of the others.

    Args:
        which: ``before`` for what was committed before this process, ``after`` for its own.
    """

    def __init__(self, slot: Slot, which: str) -> None:
        self._slot = slot
        self._which = which
        self._kept: dict[str, tuple[Any, Any]] = {}
        self._others: set[str] = set()

    def add(self, offsets: Iterable[tuple[Any, Any]]) -> None:
        """These are committed, too."""
        for partition, offset in offsets:
            name = str(partition)
            if name in self._kept and self._which == "before":
                continue  # by now it may be this process that has committed it
            if name in self._kept or len(self._kept) < _MOST:
                self._kept[name] = (partition, offset)
            else:
                self._others.add(name)
        if self._kept:
            self._slot.tell_committed(self._which, self._written())

    def _written(self) -> bytes:
        """As much as there is room for."""
        pairs: list[Any] = list(self._kept.values())
        others = len(self._others)
        while True:
            data = msgspec.json.encode([*pairs, others] if others else pairs, enc_hook=str)
            if len(data) <= LONGEST_COMMITTED or not pairs:
                return data
            pairs.pop()
            others += 1
