"""When a task that ended is started again, and when it is given up."""

from typing import Final

import msgspec

from engine.model.exit_status import ExitClass, signal_name

_MOST_DOUBLINGS: Final = 1000


class RestartPolicy(msgspec.Struct, frozen=True, array_like=True):
    """How ends of a task's process are answered; all times in seconds.

    Attributes:
        mode: ``never``; ``on-failure``, until ``max_restarts`` is reached; or ``always``, which
            knows no such limit.
        delay: before the first restart.
        delay_factor: each further delay is so many times longer.
        delay_max: no delay is longer.
        jitter: share by which a delay is varied either way, 0 to 1.
        max_restarts: more of them within ``window`` and the task has FAILED.
        window: see ``max_restarts``.
        reset_after: so long must a process have run to count as healthy.
        reset_needs_progress: whether it must have moved records as well.
        force: ends that are answered with a restart though their cause is permanent or the mode is
            ``never``: exit codes, and signals as negative numbers.
        prevent: ends that are never answered with one; goes before ``force``.
        rate: restarts a second that all tasks of the connector have together; 0 for no bound.
        burst: so many of them may come at once.
    """

    mode: str = "on-failure"
    delay: float = 1.0
    delay_factor: float = 2.0
    delay_max: float = 60.0
    jitter: float = 0.25
    max_restarts: int = 10
    window: float = 600.0
    reset_after: float = 600.0
    reset_needs_progress: bool = True
    force: tuple[int, ...] = ()
    prevent: tuple[int, ...] = ()
    rate: float = 50.0
    burst: int = 100

    def delay_before(self, failures: int, jitter: float) -> float:
        """Seconds to wait after so many failures in a row.

        Args:
            failures: 1 for the first.
            jitter: anything from 0 to 1; 0.5 leaves the delay as it is.
        """
        try:
            grown = self.delay * self.delay_factor ** min(failures - 1, _MOST_DOUBLINGS)
        except OverflowError:
            grown = self.delay_max if self.delay else 0.0
        return min(self.delay_max, grown) * (1 + self.jitter * (2 * jitter - 1))

    def recent(self, restarts: tuple[float, ...], now: float) -> tuple[float, ...]:
        """Those restarts that the window still holds, no more than matter."""
        held = tuple(at for at in restarts if now - at < self.window)
        return held[-self.max_restarts :] if self.max_restarts else ()

    def is_exhausted(self, restarts: tuple[float, ...], now: float) -> bool:
        """Whether one more restart would be more than the window allows."""
        return len(self.recent(restarts, now)) >= self.max_restarts

    def is_healthy(self, uptime: float, *, has_progressed: bool) -> bool:
        """Whether a process that ran so long begins a new row of failures."""
        return uptime >= self.reset_after and (has_progressed or not self.reset_needs_progress)

    def refusal(self, exit_class: ExitClass, number: int | None) -> str | None:
        """Why this end is not answered with a restart, whatever the limits; None when it is.

        Args:
            exit_class: what kind of end it was.
            number: exit code, or signal as a negative number; None when no process was made.
        """
        if number is not None and number in self.prevent:
            return f"engine.restart.prevent.exit.status names {exit_name(number)}"
        if number is not None and number in self.force:
            return None
        if self.mode == "never":
            return "the restart policy is never"
        if exit_class.is_permanent:
            return f"the cause is permanent ({exit_class})"
        return None


def exit_name(number: int) -> str:
    """An exit code or a negative signal in words."""
    return f"exit code {number}" if number >= 0 else signal_name(-number)
