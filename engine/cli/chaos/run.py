"""One run: inject what the plan says, look on, wait until all is well again, count."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from engine.cli.chaos.fault import OF_A_TASK
from engine.cli.chaos.lines import Tally
from engine.cli.chaos.observer import Observer
from engine.cli.chaos.plan import Injection
from engine.cli.chaos.recovery import Ledger, Snapshot, Wound
from engine.cli.chaos.report import duration
from engine.cli.chaos.screen import Scene, Screen
from engine.cli.chaos.target import Target
from engine.cli.interrupts import Interrupts

_TICK: Final = 0.01
_DRAW_EVERY: Final = 0.2


class ChaosRun:
    """Done by :meth:`run`.

    Args:
        target: who is hurt; it is ready.
        tasks: that must all come back.
        plan: what is to be done when.
        patience: seconds after the last fault in which everything must be well again.

    Attributes:
        ledger: what was done, and how long it took to mend.
    """

    def __init__(
        self,
        target: Target,
        tasks: frozenset[str],
        plan: Sequence[Injection],
        patience: float,
        interrupts: Interrupts,
    ) -> None:
        self.ledger = Ledger(tasks)
        self._target = target
        self._waiting = deque(plan)
        self._patience = patience
        self._interrupts = interrupts
        self._scene = Scene(ledger=self.ledger, planned=len(plan))
        self._next_draw = 0.0
        self._pause = threading.Event()

    def run(self, seconds: float, observer: Observer, screen: Screen) -> Tally | None:
        """Do it; what became of the records.

        Args:
            seconds: how long faults come.

        Raises:
            TargetError: the engine is gone.
        """
        began = time.monotonic()
        self._scene.stage = "hurting it"
        while not self._interrupts.count and time.monotonic() < began + seconds:
            self._turn(began, observer, screen)
        self._scene.stage = "waiting until all is well again"
        if self._interrupts.count:
            self._leave_out_the_rest()
        deadline = time.monotonic() + self._patience
        while self._is_unwell and time.monotonic() < deadline and not self._is_urgent():
            self._turn(began, observer, screen)
        self._leave_out_the_rest()
        self._scene.stage = "waiting for the last records, and counting"
        screen.show(self._scene)
        return self._target.finish(self._patience, self._is_urgent)

    def _is_urgent(self) -> bool:
        """Whether somebody has asked a second time."""
        return self._interrupts.count > 1

    @property
    def _is_unwell(self) -> bool:
        return bool(self.ledger.open or self._waiting)

    def _turn(self, began: float, observer: Observer, screen: Screen) -> None:
        now = time.monotonic()
        self._target.tick(now)
        for snapshot in observer.news():
            self._look(snapshot)
        self._inject_due(now - began, observer.last)
        self._scene.elapsed = now - began
        if now >= self._next_draw:
            self._next_draw = now + _DRAW_EVERY
            screen.show(self._scene)
        self._pause.wait(_TICK)

    def _look(self, snapshot: Snapshot) -> None:
        for wound in self.ledger.open:
            if wound.since is None:
                wound.since = self._target.resumed_at(wound)
        for wound in self.ledger.see(snapshot):
            self._tell(f"{_words(wound)}: back after {duration((wound.seconds or 0) * 1000)}")

    def _inject_due(self, elapsed: float, seen: Snapshot | None) -> None:
        """What cannot be done now waits for its turn, and does not hold up the others."""
        if seen is None:
            return
        due = [injection for injection in self._waiting if injection.at <= elapsed]
        for injection in due:
            if self._inject(injection, seen):
                self._waiting.remove(injection)

    def _inject(self, injection: Injection, seen: Snapshot) -> bool:
        fault, task = injection.fault, None
        if not self.ledger.can_take(fault):
            return False
        if fault in OF_A_TASK:
            free = self.ledger.free_tasks(seen, self._target.most_per_task)
            if not free:
                return False
            task = free[int(injection.share * len(free))]
        at = time.monotonic()
        hurt = self._target.hurt(fault, task, seen)
        if hurt is None:
            return False
        self._tell(_words(self.ledger.inject(injection, hurt, seen, at)))
        return True

    def _leave_out_the_rest(self) -> None:
        for injection in self._waiting:
            self.ledger.skip(injection)
        self._waiting.clear()

    def _tell(self, text: str) -> None:
        self._scene.events.append(text)


def _words(wound: Wound) -> str:
    return f"{wound.injection.number}. {wound.fault} {wound.target}"
