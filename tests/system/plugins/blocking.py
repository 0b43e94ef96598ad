"""Connectors that block for ever in one method: ``block=SourceTask.poll`` in the configuration.

Whoever blocks first writes a file named after the connector into ``marks.dir``. A connector's
``config`` knows no configuration yet: for that there is a class of its own.
"""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.api import (
    NO_KEYS,
    ConfigKeys,
    SinkConnector,
    SinkTask,
    SourceConnector,
    SourceTask,
)


def block(config: Mapping[str, str], where: str) -> None:
    """Never come back when this is the place."""
    if config.get("block") == where:
        (Path(config["marks.dir"]) / config["name"]).touch()
        threading.Event().wait()


class _Blocks:
    """What the connectors of both kinds do."""

    version: str | None = "1"
    given: Mapping[str, str] = {}

    def config(self) -> ConfigKeys:
        return NO_KEYS

    def validate(self, config: Mapping[str, str]) -> Mapping[str, Sequence[str]]:
        block(config, "Connector.validate")
        return {}

    def start(self, config: Mapping[str, str]) -> None:
        self.given = config
        block(config, "Connector.start")

    def task_configs(self, max_tasks: int) -> Sequence[Mapping[str, str]]:
        block(self.given, "Connector.task_configs")
        return [dict(self.given) for _ in range(max_tasks)]

    def stop(self) -> None:
        block(self.given, "Connector.stop")


class BlockingSource(_Blocks, SourceConnector):
    def task_class(self) -> type[SourceTask]:
        return BlockingSourceTask


class BlockingSink(_Blocks, SinkConnector):
    def task_class(self) -> type[SinkTask]:
        return BlockingSinkTask


class BlockingConfig(BlockingSource):
    def config(self) -> ConfigKeys:
        threading.Event().wait()
        return NO_KEYS


class BlockingInitialize(BlockingSource):
    def initialize(self, context: Any) -> None:
        threading.Event().wait()


class BlockingSourceTask(SourceTask):
    given: Mapping[str, str] = {}

    def initialize(self, context: Any) -> None:
        super().initialize(context)
        block(context.configs(), "SourceTask.initialize")

    def start(self, config: Mapping[str, str]) -> None:
        self.given = config
        block(config, "SourceTask.start")

    def poll(self) -> None:
        block(self.given, "SourceTask.poll")
        threading.Event().wait(0.05)

    def commit(self) -> None:
        block(self.given, "SourceTask.commit")

    def stop(self) -> None:
        block(self.given, "SourceTask.stop")


class BlockingSinkTask(SinkTask):
    given: Mapping[str, str] = {}

    def initialize(self, context: Any) -> None:
        super().initialize(context)
        block(context.configs(), "SinkTask.initialize")

    def start(self, config: Mapping[str, str]) -> None:
        self.given = config
        block(config, "SinkTask.start")

    def open(self, partitions: Any) -> None:
        block(self.given, "SinkTask.open")

    def put(self, batch: Any) -> None:
        block(self.given, "SinkTask.put")

    def flush(self, offsets: Any) -> None:
        block(self.given, "SinkTask.flush")

    def close(self, partitions: Any) -> None:
        block(self.given, "SinkTask.close")

    def stop(self) -> None:
        block(self.given, "SinkTask.stop")
