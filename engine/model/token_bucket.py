"""A rate with bursts. Pure: whoever asks says what time it is."""


class TokenBucket:
    """Fills at a steady rate up to the burst; what is taken is gone until it has filled again.

    Args:
        rate: tokens a second.
        burst: tokens that may be taken at once; there are so many in the beginning.
    """

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at: float | None = None

    def take(self, amount: float, now: float) -> bool:
        """Take so many tokens if they are there."""
        if self.available(now) < amount:
            return False
        self._tokens -= amount
        return True

    def reserve(self, now: float) -> float:
        """Take a token that may not be there yet; how many seconds until it is.

        Each claim is answered with its own time, so that nobody has to ask again.
        """
        left = self.available(now) - 1
        self._tokens = left
        return max(0.0, -left / self._rate)

    def set_to(self, tokens: float, now: float) -> None:
        """Go on from what another bucket had; no more than fits into this one."""
        self._tokens, self._at = min(self._burst, tokens), now

    def is_full(self, now: float) -> bool:
        """Whether nothing is taken that has not filled again."""
        return self.available(now) >= self._burst

    def available(self, now: float) -> float:
        """Tokens that could be taken now, less than none when some are owed; seconds, monotonic."""
        if self._at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        return self._tokens
