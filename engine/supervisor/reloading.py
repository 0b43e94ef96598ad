"""A reload as the service manager sees it: begun, done, and what came of it in the status line."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Final

from engine.supervisor.herder_process import HerderProcess
from engine.supervisor.log import Log
from engine.supervisor.notify import Notifier, status_of
from engine.wire.herder_message import Reload, Reloaded

_LONGEST: Final = 60.0
"""Seconds after which a reload is over for the service manager, whatever the herder does."""


class Reloading:
    """Asks the herder to read its files again, and tells the service manager of it."""

    def __init__(self, log: Log, notifier: Notifier, herder: HerderProcess) -> None:
        self._log = log
        self._notifier = notifier
        self._herder = herder
        self._problem: str | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Have the connector files read again."""
        self._notifier.reloading()
        if not self._herder.is_ready:
            self.ended(Reloaded(problems=("the herder is not ready; try again",)))
            return
        self._herder.send(Reload())
        if self._deadline is None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(_LONGEST, self._unanswered)

    def _unanswered(self) -> None:
        self.ended(Reloaded(problems=("the herder did not answer; try again",)))

    def ended(self, reloaded: Reloaded) -> None:
        """The herder has read them."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        problems = list(reloaded.problems)
        self._log.info("reloaded", changed=dict(reloaded.changed), problems=problems)
        self._problem = f"not reloaded: {problems[0]}" if problems else None
        self._notifier.ready()

    def tell_status(self, conditions: Iterable[str]) -> None:
        """One line for people: how the tasks are, and what the last reload could not do."""
        if not self._notifier.is_heard:
            return
        texts = (status_of(Counter(conditions)), self._problem)
        self._notifier.status("; ".join(filter(None, texts)))
