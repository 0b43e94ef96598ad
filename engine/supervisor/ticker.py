"""Twice a second the supervisor looks at everything, at each thing for itself."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from engine.supervisor.log import Log
from engine.supervisor.own_stacks import OwnStacks

_PERIOD: Final = 0.5

_LATE: Final = 2.0
"""Seconds by which a tick may be late before everybody's silence is blamed on ourselves."""

Look = Callable[[float], None]
"""Called with the loop's time."""


class Ticker:
    """Calls every look on each tick, whatever became of the last one.

    Args:
        log: hears of a loop that was late.
        own_stacks: hears that the loop turns.

    Attributes:
        ticks: how many there were.
        lag: seconds by which the last one was late.
    """

    def __init__(self, log: Log, own_stacks: OwnStacks) -> None:
        self._log = log
        self._own_stacks = own_stacks
        self._looks: Sequence[Look] = ()
        self._last = 0.0
        self._grace_until = 0.0
        self.ticks = 0
        self.lag = 0.0

    def start(self, looks: Sequence[Look]) -> None:
        """The first tick comes in a moment."""
        loop = asyncio.get_running_loop()
        self._looks = looks
        self._last = loop.time()
        loop.call_later(_PERIOD, self._tick)

    def forgive(self, now: float) -> None:
        """Nobody is to be blamed for being silent until now."""
        self._grace_until = now + _LATE

    def is_forgiving(self, now: float) -> bool:
        """Whether silence may still be our own fault."""
        return now < self._grace_until

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(_PERIOD, self._tick)  # before anything that might fail
        now = loop.time()
        self.ticks += 1
        self.lag = max(0.0, now - self._last - _PERIOD)
        self._last = now
        is_late = self.lag > _LATE
        if is_late:
            self.forgive(now + self.lag)
        for look in self._looks:
            loop.call_soon(look, now)  # one that fails keeps no other from being called
        hung_at = self._own_stacks.turn()
        if is_late:
            known = {"stacks": hung_at} if hung_at else {}
            lag = round(self.lag, 1)
            self._log.warning("the supervisor itself was stopped", seconds=lag, **known)
