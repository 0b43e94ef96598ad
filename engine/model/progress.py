"""Whether a task gets anywhere: alive is not the same as moving."""

import msgspec


class Progress(msgspec.Struct, frozen=True):
    """What was seen of a task last.

    Attributes:
        waiting_since: since when records have waited without one that moved; None when none wait.
        moved: mark of the last record that moved; it changes with each.
        backlog: how many waited.
    """

    waiting_since: float | None = None
    moved: int = 0
    backlog: int = 0

    def seen(self, now: float, moved: int, backlog: int) -> "Progress":
        """The same with what is seen now.

        Args:
            now: seconds, monotonic.
            moved: changes with each record that moves.
            backlog: how many wait: what a sink lags behind, what a source has handed to Kafka's
                client; less than 1 when none do, or nobody knows.
        """
        if backlog < 1:
            return Progress(None, moved, backlog)
        since = self.waiting_since if moved == self.moved else None
        return Progress(now if since is None else since, moved, backlog)

    def stalled_for(self, now: float) -> float:
        """Seconds that records have waited while none moved."""
        return 0.0 if self.waiting_since is None else now - self.waiting_since
