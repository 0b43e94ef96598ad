"""What the loop of a task needs to know of a worker's configuration."""

from engine.api.config import LOW, at_least, config, key


@config
class LoopConfig:
    """Times of a task's loop, and whether topics are made."""

    offset_flush_interval: float = key(
        "offset.flush.interval.ms",
        default=60.0,
        milliseconds=True,
        importance=LOW,
        doc="How often tasks commit offsets.",
        check=at_least(1),
    )
    offset_flush_timeout: float = key(
        "offset.flush.timeout.ms",
        default=5.0,
        milliseconds=True,
        importance=LOW,
        doc="How long a commit waits for records on their way before it is put off.",
        check=at_least(1),
    )
    task_shutdown_graceful_timeout: float = key(
        "task.shutdown.graceful.timeout.ms",
        default=5.0,
        milliseconds=True,
        importance=LOW,
        doc="How long a task that is told to stop may take before its process is killed.",
        check=at_least(0),
    )
    topic_creation_enable: bool = key(
        "topic.creation.enable",
        default=True,
        importance=LOW,
        doc="Whether topics of source connectors are created by their topic.creation. rules.",
    )

    @property
    def final_flush(self) -> float:
        """How long the last commit may take, so that there is time left to close things."""
        return min(self.offset_flush_timeout, 0.7 * self.task_shutdown_graceful_timeout)
