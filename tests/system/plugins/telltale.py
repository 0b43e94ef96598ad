"""A connector and its task that tell everybody all that they are told."""

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.api import (
    NO_KEYS,
    ConfigKeys,
    SourceBatch,
    SourceConnector,
    SourceRecord,
    SourceTask,
)


class TelltaleConnector(SourceConnector):
    """Tells its configuration, waits for the file ``go``, and fails when that says so."""

    version = "1"

    def config(self) -> ConfigKeys:
        return NO_KEYS

    def start(self, config: Mapping[str, str]) -> None:
        self._given = dict(config)
        tell(config)
        go = Path(config["go"])
        while not go.exists():
            threading.Event().wait(0.02)
        if config.get("refuses"):
            raise ValueError(f"cannot work with {config}")

    def task_class(self) -> type[SourceTask]:
        return TelltaleTask

    def task_configs(self, max_tasks: int) -> Sequence[Mapping[str, str]]:
        return [self._given]


class TelltaleTask(SourceTask):
    """Has nothing to read."""

    def start(self, config: Mapping[str, str]) -> None:
        tell(config)

    def poll(self) -> SourceBatch | Sequence[SourceRecord] | None:
        threading.Event().wait(0.05)
        return None

    def stop(self) -> None:
        pass


def tell(config: Mapping[str, str]) -> None:
    """Print and log it."""
    print(dict(config), flush=True)
    logging.getLogger("telltale").error("with %s", dict(config))
