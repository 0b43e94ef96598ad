"""What chaos may do to an engine, be it one of its own or one that runs already."""

from collections.abc import Callable
from typing import Protocol

from engine.cli.chaos.fault import Fault
from engine.cli.chaos.lines import Tally
from engine.cli.chaos.recovery import Snapshot, Wound


class TargetError(Exception):
    """It cannot go on; the text is one line."""


class Target(Protocol):
    """An engine.

    Attributes:
        url: of its REST API.
        is_own: it was started for this, and ends with it.
        most_per_task: how often one task may be hurt; None for any number.
    """

    url: str
    is_own: bool
    most_per_task: int | None

    def tick(self, now: float) -> None:
        """Do what is due: write, look after what was started.

        Raises:
            TargetError: it cannot go on.
        """

    def hurt(self, fault: Fault, task: str | None, seen: Snapshot) -> str | None:
        """Inject a fault; who was hurt, or None when there was nobody.

        Args:
            task: the task for a fault that needs one.
            seen: the last look.
        """

    def resumed_at(self, wound: Wound) -> float | None:
        """Since when nothing of the fault itself is in the way; None while something is."""

    def calm(self) -> None:
        """Take back what hurts by itself: processes that are stopped, a disk that is full."""

    def finish(self, seconds: float, is_urgent: Callable[[], bool]) -> Tally | None:
        """Let everything arrive, end what was started; what became of the records.

        Args:
            seconds: how long to wait for the last records.
            is_urgent: asked again and again; true ends the waiting.
        """

    def close(self) -> list[str]:
        """End everything that is left; what did not end by itself."""
