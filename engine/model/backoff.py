"""Delays for programs of our own, which are always started again. Pure."""


class Backoff:
    """0 for the first start after a healthy run, then doubling.

    Args:
        first: seconds before the second try.
        most: no delay is longer.
        healthy: seconds after which a run counts as healthy.
    """

    def __init__(self, first: float = 0.1, most: float = 10.0, healthy: float = 10.0) -> None:
        self._first = first
        self._most = most
        self._healthy = healthy
        self._failures = 0
        self._started = 0.0

    def started(self, now: float) -> None:
        """The program was started."""
        self._started = now

    def delay(self, now: float) -> float:
        """It ended; so long to wait before the next start."""
        if now - self._started >= self._healthy:
            self._failures = 0
        self._failures += 1
        if self._failures == 1:
            return 0.0
        return min(self._most, self._first * 2.0 ** (self._failures - 2))
