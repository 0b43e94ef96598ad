"""Connectors: they check a configuration and split it into tasks. They move no data.

A connector lives in a short process of its own whenever the engine wants to know something of it
(:meth:`Connector.validate`, :meth:`Connector.task_configs`); a method that hangs is killed there.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from engine.api.config import ConfigKeys
from engine.api.offset import OffsetStorageReader
from engine.api.record import Offset, Partition, TopicPartition
from engine.api.task import SinkTask, SourceTask


class ConnectorContext:
    """What a connector may ask of the engine (upstream: ``ConnectorContext``)."""

    def __init__(self, offset_storage_reader: OffsetStorageReader | None = None) -> None:
        self._offset_storage_reader = offset_storage_reader

    def offset_storage_reader(self) -> OffsetStorageReader:
        """Committed source offsets, for a source connector that plans by them."""
        if self._offset_storage_reader is None:
            raise TypeError("a sink connector has no source offsets")
        return self._offset_storage_reader


class Connector(ABC):
    """What sources and sinks share (upstream: ``Connector``).

    Life: ``initialize`` → ``start(config)`` → ``task_configs(max_tasks)`` → ``stop``, each time the
    engine plans. ``config`` and ``validate`` are called on instances that were never started.
    """

    version: str | None = None
    """Version shown by the REST API; the distribution's version when None."""

    context: ConnectorContext

    def initialize(self, context: ConnectorContext) -> None:
        """Take the context; called first."""
        self.context = context

    @abstractmethod
    def config(self) -> ConfigKeys:
        """The keys this connector knows."""

    def validate(self, config: Mapping[str, str]) -> Mapping[str, Sequence[str]]:
        """Problems that the declared keys cannot show, key → messages.

        Called when every declared key parses. The place to connect and look.
        """
        del config
        return {}

    def start(self, config: Mapping[str, str]) -> None:
        """Take the configuration. Raise ConfigError when it cannot work."""

    @abstractmethod
    def task_class(self) -> type[SourceTask] | type[SinkTask]:
        """The class of this connector's tasks; made without arguments in the task's process."""

    @abstractmethod
    def task_configs(self, max_tasks: int) -> Sequence[Mapping[str, str]]:
        """One configuration per task, ``max_tasks`` at most. An empty list means: no work now."""

    def stop(self) -> None:
        """Give back what :meth:`start` took."""


class SourceConnector(Connector):
    """Reads some system into Kafka (upstream: ``SourceConnector``)."""

    def alter_offsets(
        self, config: Mapping[str, str], offsets: Mapping[str, tuple[Partition, Offset | None]]
    ) -> bool:
        """Check offsets that somebody wants to set; True when nothing is left to be done by hand.

        Called on an instance that was never started, while the connector is STOPPED, before they
        are stored. What is raised refuses them; NotImplementedError refuses all that may come.

        Args:
            config: the connector's configuration.
            offsets: partition as JSON → (partition, new offset or None to forget it). The
                partition is None where a request names none.
        """
        del config, offsets
        return False


class SinkConnector(Connector):
    """Writes Kafka into some system (upstream: ``SinkConnector``)."""

    def alter_offsets(
        self, config: Mapping[str, str], offsets: Mapping[TopicPartition, int | None]
    ) -> bool:
        """The same for a sink, whose offsets are those of its consumer group."""
        del config, offsets
        return False
