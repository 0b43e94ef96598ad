"""Records that end whoever works on them: in a transformation, in ``put`` or in ``flush``.

A value ``segv:put`` is a segmentation fault in ``put``; ``exit`` is an exit without a word,
``spin`` an endless loop, and ``hoard`` takes memory; ``flush`` and ``transform`` are the other
places.
"""

import ctypes
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.api import (
    NO_KEYS,
    ConfigKeys,
    SinkBatch,
    SinkConnector,
    SinkTask,
    TopicPartition,
    Transformation,
)


def spin() -> None:
    while True:
        pass


def hoard() -> None:
    held = [bytearray(b"x") * (16 << 20) for _ in range(64)]  # who is not killed at once is later
    spin()
    held.clear()


DEEDS: Mapping[str, Callable[[], Any]] = {
    "segv": lambda: ctypes.string_at(0),
    "exit": lambda: os._exit(3),
    "spin": spin,
    "hoard": hoard,
}


def do(value: Any, where: str) -> None:
    """What the value says, if it is meant for this place."""
    deed, _, place = str(value).partition(":")
    if place == where and deed in DEEDS:
        DEEDS[deed]()


class PoisonousSink(SinkConnector):
    """Writes values to a file, one a line."""

    version = "1"

    def config(self) -> ConfigKeys:
        return NO_KEYS

    def start(self, config: Mapping[str, str]) -> None:
        self._config = dict(config)

    def task_class(self) -> type[SinkTask]:
        return PoisonousSinkTask

    def task_configs(self, max_tasks: int) -> Sequence[Mapping[str, str]]:
        return [self._config]


class PoisonousSinkTask(SinkTask):
    """Writes a batch when it is flushed."""

    def start(self, config: Mapping[str, str]) -> None:
        self._file = Path(config["file"])
        self._held: list[str] = []

    def put(self, batch: SinkBatch) -> None:
        for value in batch.values:
            do(value, "put")
            self._held.append(str(value))

    def flush(self, offsets: Mapping[TopicPartition, int]) -> None:
        for value in self._held:
            do(value, "flush")
        with self._file.open("a") as file:
            file.writelines(f"{value}\n" for value in self._held)
        self._held = []

    def stop(self) -> None:
        pass


class Poisonous(Transformation):
    """Passes every record that it survives."""

    def apply(self, record: Any) -> Any:
        do(record.value, "transform")
        return record
