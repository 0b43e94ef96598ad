"""A transformation and a sink that refuse records which say so: ``{"refuse": "put"}``."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.api import (
    NO_KEYS,
    ConfigKeys,
    DataError,
    SinkBatch,
    SinkConnector,
    SinkTask,
    TopicPartition,
    Transformation,
)


class Picky(Transformation):
    """Refuses records, those of sources by their text."""

    def apply(self, record: Any) -> Any:
        value = record.value
        if value == "refuse" or (isinstance(value, dict) and value.get("refuse") == "transform"):
            raise DataError("the transformation refuses it")
        return record


class PickySink(SinkConnector):
    """Writes values to a file, one a line."""

    version = "1"

    def config(self) -> ConfigKeys:
        return NO_KEYS

    def start(self, config: Mapping[str, str]) -> None:
        self._config = dict(config)

    def task_class(self) -> type[SinkTask]:
        return PickySinkTask

    def task_configs(self, max_tasks: int) -> Sequence[Mapping[str, str]]:
        return [self._config]


class PickySinkTask(SinkTask):
    """Takes a batch as a whole or not at all."""

    def start(self, config: Mapping[str, str]) -> None:
        self._file = Path(config["file"])

    def put(self, batch: SinkBatch) -> None:
        if any(value.get("refuse") == "put" for value in batch.values):
            raise DataError("something in the batch is refused")
        with self._file.open("a") as file:
            file.writelines(f"{json.dumps(value)}\n" for value in batch.values)

    def flush(self, offsets: Mapping[TopicPartition, int]) -> None:
        pass

    def stop(self) -> None:
        pass
