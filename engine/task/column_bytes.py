"""How large records are, as the counters count it: keys and values as bytes, without the rest."""

from collections.abc import Sequence


def column_bytes(column: Sequence[bytes | None]) -> int:
    """Bytes of all values of a column; a tombstone has none."""
    try:
        return sum(map(len, column))  # type: ignore[arg-type]
    except TypeError:  # there are tombstones
        return sum(len(each) for each in column if each is not None)
