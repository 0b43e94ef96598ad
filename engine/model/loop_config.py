"""What the loop of a task needs to know of a worker's configuration."""

from collections.abc import Mapping

from engine.api.config import LOW, at_least, config, key, names_of, parse


@config
class StopConfig:
    """How long a task may take to end."""

    task_shutdown_graceful_timeout: float = key(
        "task.shutdown.graceful.timeout.ms",
        default=5.0,
        milliseconds=True,
        importance=LOW,
        doc="How long a task that is told to stop may take before its process is killed.",
        check=at_least(0),
    )
    stop_timeout: float = key(
        "engine.stop.timeout.ms",
        default=0.0,
        milliseconds=True,
        importance=LOW,
        doc="The same for the tasks of one connector; 0: as task.shutdown.graceful.timeout.ms.",
        check=at_least(0),
    )
    stop_timeout_max: float = key(
        "engine.stop.timeout.max.ms",
        default=60.0,
        milliseconds=True,
        importance=LOW,
        doc="The longest that a task may take to stop that announces that it needs longer.",
        check=at_least(0),
    )

    @property
    def stop_within(self) -> float:
        """Seconds from the order to stop to SIGABRT."""
        return self.stop_timeout or self.task_shutdown_graceful_timeout


@config
class LoopConfig(StopConfig):
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
    topic_creation_enable: bool = key(
        "topic.creation.enable",
        default=True,
        importance=LOW,
        doc="Whether topics of source connectors are created by their topic.creation. rules.",
    )

    @property
    def final_flush(self) -> float:
        """How long the last commit may take, so that there is time left to close things."""
        return min(self.offset_flush_timeout, 0.7 * self.stop_within)


def loop_config(worker: Mapping[str, str], connector: Mapping[str, str]) -> LoopConfig:
    """What a task's loop needs: the connector's own time to stop goes before the worker's.

    Raises:
        ConfigError: a value is wrong.
    """
    names = names_of(StopConfig)
    own = {k: v for k, v in connector.items() if k.startswith("engine.") and k in names}
    return parse(LoopConfig, {**worker, **own})
