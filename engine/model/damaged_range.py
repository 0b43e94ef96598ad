"""How far damage in a partition reaches, found by reading at chosen offsets. Pure decisions.

Records that were damaged as one batch fail as one, and nobody tells where the next batch begins. So
offsets ahead are probed: farther and farther until one can be read, then between the two.
"""


class DamagedRange:
    """A search.

    Args:
        first: an offset that cannot be read.
        end: the offset behind the last record that there is.

    Attributes:
        first: see there.
        last: the last offset that is known to be damaged.
    """

    def __init__(self, first: int, end: int) -> None:
        self.first = self.last = first
        self._end = end
        self._readable: int | None = None
        self._step = 1

    @property
    def next(self) -> int | None:
        """Where to read on, once the search is over."""
        if self._readable == self.last + 1:
            return self._readable
        return self.last + 1 if self.last + 1 >= self._end else None

    @property
    def probe(self) -> int:
        """The offset to read at, while the search is not over."""
        if self._readable is not None:
            return (self.last + self._readable) // 2
        return min(self.last + self._step, self._end - 1)

    def is_damaged(self) -> None:
        """Nothing could be read at the probe."""
        self.last = self.probe
        self._step *= 2

    def is_readable(self) -> None:
        """A record was read at the probe, or the first one behind it."""
        self._readable = self.probe
