"""How long a task may take, and how long it may be silent."""

import msgspec


class Deadlines(msgspec.Struct, frozen=True, array_like=True):
    """All times in seconds.

    Attributes:
        start: from the fork request to RUNNING.
        heartbeat: silence of the task's own loop that makes it UNRESPONSIVE.
        stop: from the order to end to the end.
        stop_max: the same, when the task announces that it needs longer.
        busy_max: no announcement of silence counts for longer.
        poll: silence in this stage; 0 is as ``heartbeat``.
        transform: in transformations and converters, for 64 records.
        put: see ``poll``.
        flush: see ``poll``.
        commit: see ``poll``.
        progress: without a record that moves while some wait, and the task is DEGRADED; 0 is never.
        progress_restarts: whether such a task is restarted.
    """

    start: float = 60.0
    heartbeat: float = 30.0
    stop: float = 5.0
    stop_max: float = 60.0
    busy_max: float = 3600.0
    poll: float = 0.0
    transform: float = 0.0
    put: float = 0.0
    flush: float = 0.0
    commit: float = 0.0
    progress: float = 300.0
    progress_restarts: bool = False

    @property
    def shortest_silence(self) -> float:
        """What no stage has less of."""
        own = (self.poll, self.transform, self.put, self.flush, self.commit)
        return min(self.heartbeat, self.start, *(each for each in own if each))

    def silence_in(self, stage: str) -> float:
        """How long the loop may be silent in a stage of :data:`engine.model.slot.STAGES`."""
        match stage:
            case "start":  # of a task that was made paused: it is RUNNING already
                return self.start
            case "poll" | "transform" | "put" | "flush" | "commit":
                limit: float = getattr(self, stage)
                return limit or self.heartbeat
            case "convert":
                return self.transform or self.heartbeat
            case _:
                return self.heartbeat
