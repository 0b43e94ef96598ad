"""How many restarts after failures a host and a connector may have in a second."""

from collections.abc import Sequence
from typing import Final

import msgspec

from engine.model.token_bucket import TokenBucket

_MANY: Final = 256

Bound = tuple[float, int]
"""Restarts a second, 0 for no bound, and how many may come at once."""


class BudgetLevel(msgspec.Struct, frozen=True):
    """What was left of a budget at a time: less than nothing where some wait for their turn.

    Attributes:
        connector: whose; None for the host's.
        bound: the connector's own.
        at: seconds, monotonic.
    """

    connector: str | None
    bound: Bound
    tokens: float
    at: float


class RestartBudget:
    """The host's budget, and one for each connector that has used its own of late."""

    def __init__(self, host: Bound) -> None:
        self._bound = host
        self._host = _bucket(host)
        self._connectors: dict[tuple[str, Bound], TokenBucket] = {}

    def claim(self, connector: str, bound: Bound, now: float) -> float:
        """Take a restart out of both; how many seconds to wait before it may happen.

        Args:
            connector: whose task it is.
            bound: the connector's own.
            now: seconds, monotonic.
        """
        waits = [bucket.reserve(now) for bucket in (self._host,) if bucket]
        own = self._own(connector, bound, now)
        if own:
            waits.append(own.reserve(now))
        return max(waits, default=0.0)

    def levels(self, now: float) -> tuple[BudgetLevel, ...]:
        """All of it, for a successor."""
        levels = [
            BudgetLevel(connector, bound, bucket.available(now), now)
            for (connector, bound), bucket in self._connectors.items()
        ]
        if self._host:
            levels.append(BudgetLevel(None, self._bound, self._host.available(now), now))
        return tuple(levels)

    def go_on_from(self, levels: Sequence[BudgetLevel]) -> None:
        """Take over what another one had. The host's bound is the one that is configured now."""
        for level in levels:
            if level.connector is None:
                bucket = self._host
            else:
                bucket = self._own(level.connector, level.bound, level.at)
            if bucket:
                bucket.set_to(level.tokens, level.at)

    def _own(self, connector: str, bound: Bound, now: float) -> TokenBucket | None:
        if len(self._connectors) > _MANY:
            self._connectors = {c: b for c, b in self._connectors.items() if not b.is_full(now)}
        key = (connector, bound)
        if key not in self._connectors and (bucket := _bucket(bound)):
            self._connectors[key] = bucket
        return self._connectors.get(key)


def _bucket(bound: Bound) -> TokenBucket | None:
    rate, burst = bound
    return TokenBucket(rate, burst) if rate > 0 else None
