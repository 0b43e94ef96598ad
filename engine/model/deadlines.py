"""How long a task may take, and how long it may be silent."""

import msgspec


class Deadlines(msgspec.Struct, frozen=True, array_like=True):
    """All times in seconds.

    Attributes:
        start: from the fork request to RUNNING.
        heartbeat: silence of the task's own loop that makes it UNRESPONSIVE.
        stop: from the order to end to the end.
    """

    start: float = 60.0
    heartbeat: float = 30.0
    stop: float = 5.0
