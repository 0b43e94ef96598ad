"""What the loops need to know of a worker's configuration."""

from engine.api.config import at_least, config, key


@config
class LoopConfig:
    """Times of a task's loop, and whether topics are made."""

    offset_flush_interval: float = key(
        "offset.flush.interval.ms",
        default=60.0,
        milliseconds=True,
        check=at_least(0),
        doc="Time between two commits of offsets.",
    )
    offset_flush_timeout: float = key(
        "offset.flush.timeout.ms",
        default=5.0,
        milliseconds=True,
        check=at_least(0),
        doc="How long a commit may take before it is put off to the next one.",
    )
    shutdown_timeout: float = key(
        "task.shutdown.graceful.timeout.ms",
        default=5.0,
        milliseconds=True,
        check=at_least(0),
        doc="How long a task may take to end.",
    )
    topic_creation: bool = key(
        "topic.creation.enable", default=True, doc="Whether topic.creation rules are obeyed."
    )
    bootstrap_servers: str = key(
        "bootstrap.servers", default="localhost:9092", doc="The brokers to connect to first."
    )

    @property
    def final_flush(self) -> float:
        """How long the last commit may take, so that there is time left to close things."""
        return min(self.offset_flush_timeout, 0.7 * self.shutdown_timeout)
