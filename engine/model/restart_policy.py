"""When a task that ended is started again, and when it is given up."""

import msgspec


class RestartPolicy(msgspec.Struct, frozen=True, array_like=True):
    """How ends of a task's process are answered; all times in seconds.

    Attributes:
        mode: ``never``, ``on-failure`` or ``always``.
        delay: before the first restart; doubled with every further one.
        delay_max: no delay is longer.
        jitter: share by which a delay is varied either way, 0 to 1.
        max_restarts: more of them within ``window`` and the task has FAILED.
        window: see ``max_restarts``.
        reset_after: so long must a process have run, and made progress, to count as healthy.
        start_timeout: from the fork request to RUNNING.
        heartbeat_timeout: silence of the task's own loop that makes it UNRESPONSIVE.
    """

    mode: str = "on-failure"
    delay: float = 1.0
    delay_max: float = 60.0
    jitter: float = 0.25
    max_restarts: int = 10
    window: float = 600.0
    reset_after: float = 600.0
    start_timeout: float = 60.0
    heartbeat_timeout: float = 30.0

    def delay_before(self, failures: int, jitter: float) -> float:
        """Seconds to wait after so many failures in a row.

        Args:
            failures: 1 for the first.
            jitter: anything from 0 to 1; 0.5 leaves the delay as it is.
        """
        grown = min(self.delay_max, self.delay * 2.0 ** min(failures - 1, 62))
        return grown * (1 + self.jitter * (2 * jitter - 1))

    def recent(self, restarts: tuple[float, ...], now: float) -> tuple[float, ...]:
        """Those restarts that the window still holds."""
        return tuple(at for at in restarts if now - at < self.window)

    def is_exhausted(self, restarts: tuple[float, ...], now: float) -> bool:
        """Whether one more restart would be more than the window allows."""
        return len(self.recent(restarts, now)) >= self.max_restarts
