"""How many records may fail before that is too many (``engine.errors.tolerance.rate``).

Nothing here does I/O or reads a clock.
"""

import re
from collections import deque
from typing import Final

import msgspec

_FORM: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(%?)\s*/\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_IN_A_ROW: Final = re.compile(r"(\d+)\s*[/ ]\s*consecutive")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BUCKETS: Final = 60


class ToleranceRate(msgspec.Struct, frozen=True):
    """The most failures that are tolerated.

    Attributes:
        text: as it was written.
        most: a number of records, or their share (0 to 1) of those that came.
        is_share: which of the two.
        window: seconds that are looked back; None counts failures in a row.
    """

    text: str
    most: float
    is_share: bool = False
    window: float | None = None


def tolerance_rate(text: str) -> ToleranceRate:
    """What ``1%/5m``, ``100/5m`` or ``10/consecutive`` means.

    Raises:
        ValueError: none of these forms.
    """
    text = text.strip()
    in_a_row = _IN_A_ROW.fullmatch(text)
    if in_a_row:
        return ToleranceRate(text, int(in_a_row[1]))
    found = _FORM.fullmatch(text)
    if not found:
        raise ValueError("expected a share, a number or a run of failures, such as 1%/5m, 100/5m "
                         "or 10/consecutive")  # fmt: skip
    most, is_share, window = float(found[1]), bool(found[2]), float(found[3]) * _UNITS[found[4]]
    if is_share and most > 100:
        raise ValueError("expected at most 100%")
    if not is_share and not most.is_integer():
        raise ValueError("expected a whole number of records")
    if window <= 0:
        raise ValueError("expected a time above 0")
    return ToleranceRate(text, most / 100 if is_share else most, is_share, window)


def rate_problem(text: str) -> str | None:
    """What is wrong with a rate, for a key's check; None when nothing is."""
    try:
        if text:
            tolerance_rate(text)
    except ValueError as error:
        return str(error)
    return None


class ToleranceWindow:
    """Counts records and failures; a share always leaves room for one failure.

    Times are seconds of any clock that never goes back. The window moves on in sixtieths.
    """

    def __init__(self, rate: ToleranceRate) -> None:
        self._rate = rate
        self._buckets: deque[list[float]] = deque()
        self._seen = 0.0
        self._failed = 0.0
        self._run = 0

    def saw(self, records: int, now: float) -> None:
        """So many records came."""
        self._add(now, records, 0)

    def passed(self) -> None:
        """A record got through: a run of failures ends."""
        self._run = 0

    def failed(self, now: float) -> str | None:
        """One failed; why that is one too many, or None while it is not."""
        rate = self._rate
        self._run += 1
        if rate.window is None:
            is_too_many, told = self._run > rate.most, f"{self._run} records in a row failed"
        else:
            self._add(now, 0, 1)
            seen, failed = int(self._seen), int(self._failed)
            most = max(1.0, rate.most * seen) if rate.is_share else rate.most
            is_too_many = failed > most
            told = f"{failed} of {seen} records failed" if rate.is_share else f"{failed} failed"
        return f"{told}, more than {rate.text}" if is_too_many else None

    def _add(self, now: float, seen: int, failed: int) -> None:
        if self._rate.window is None:
            return
        self._seen += seen
        self._failed += failed
        buckets = self._buckets
        if buckets and now - buckets[-1][0] < self._rate.window / _BUCKETS:
            buckets[-1][1] += seen
            buckets[-1][2] += failed
        else:
            buckets.append([now, seen, failed])
        while now - buckets[0][0] >= self._rate.window:
            _, old_seen, old_failed = buckets.popleft()
            self._seen -= old_seen
            self._failed -= old_failed
