"""When a failed operation is tried again, bounded by time and by count. Reads no clock."""

from typing import Final

import msgspec

_MOST_DOUBLINGS: Final = 32


class RetryLimits(msgspec.Struct, frozen=True):
    """How often and how long; times in seconds.

    Attributes:
        first: the wait before the first retry; doubled with every further one.
        longest: a wait that would be longer is a random part of this.
        timeout: no retry begins later than this after the first attempt; 0 none at all, below 0
            there is no such bound.
        most: so many retries; below 0 there is no such bound.
    """

    first: float = 0.3
    longest: float = 60.0
    timeout: float = 0.0
    most: int = -1


class Retries:
    """The retries of one operation.

    Args:
        limits: their bounds.
        now: when the first attempt began, in seconds of a monotonic clock.
    """

    __slots__ = ("_began", "_limits", "count")

    def __init__(self, limits: RetryLimits, now: float) -> None:
        self._limits = limits
        self._began = now
        self.count = 0

    def next_delay(self, now: float, spread: float) -> float | None:
        """Seconds until the next attempt; None when there is none.

        Args:
            now: when the last attempt failed.
            spread: a random number from 0 to 1, a new one each time.
        """
        limits = self._limits
        if limits.timeout == 0 or 0 <= limits.most <= self.count:
            return None
        delay: float = limits.first * 2 ** min(self.count, _MOST_DOUBLINGS)
        if delay > limits.longest:
            delay = spread * limits.longest
        if limits.timeout > 0:
            left = self._began + limits.timeout - now
            if left <= 0:
                return None
            delay = min(delay, left)
        self.count += 1
        return delay
