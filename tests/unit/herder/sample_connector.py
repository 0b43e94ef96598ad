"""A source connector that fails, hangs or dies wherever its configuration says."""

import os
import select
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.api import ConfigKeys, RetriableError, SourceConnector, SourceTask, config, key, keys_of

NAME = f"{__name__}.SampleSource"


@config
class SampleConfig:
    """What the sample can be told."""

    topic: str = key("topic", doc="Required, as in real connectors.")
    tasks: int = key("tasks", default=1, doc="How many tasks to make.")
    shared: str = key("shared", default="", doc="Part of every task's configuration.")
    hang: str = key("hang", default="", doc="The method that never comes back.")
    fail: str = key("fail", default="", doc="The method that raises.")
    die: str = key("die", default="", doc="The method that kills the process.")
    refused_while: str = key("refused.while", default="", doc="No start while this file exists.")
    broken_while: str = key("broken.while", default="", doc="No plan while this file exists.")


class SampleTask(SourceTask):
    """Never run by these tests."""

    def start(self, config: Mapping[str, str]) -> None: ...

    def poll(self) -> None: ...

    def stop(self) -> None: ...


class SampleSource(SourceConnector):
    """See the module."""

    version = "7.1"

    def config(self) -> ConfigKeys:
        return keys_of(SampleConfig)

    def validate(self, config: Mapping[str, str]) -> Mapping[str, Sequence[str]]:
        _misbehave("validate", config)
        return {"topic": ["topic is forbidden"]} if config["topic"] == "forbidden" else {}

    def start(self, config: Mapping[str, str]) -> None:
        self._config = config
        _misbehave("start", config)
        _need_absence(config.get("refused.while"))

    def task_class(self) -> type[SourceTask]:
        return SampleTask

    def task_configs(self, max_tasks: int) -> list[dict[str, str]]:
        _misbehave("task_configs", self._config)
        _need_absence(self._config.get("broken.while"))
        shared = self._config.get("shared", "")
        count = int(self._config.get("tasks", max_tasks))
        return [{"number": str(n), "shared": shared} for n in range(count)]


def _need_absence(path: str | None) -> None:
    if path and Path(path).exists():
        raise RetriableError("the catalogue cannot be read")


def _misbehave(method: str, config: Mapping[str, str]) -> None:
    if config.get("hang") == method:
        select.select([], [], [])
    if config.get("fail") == method:
        raise ValueError(f"cannot {method} with {config.get('shared', '')}")
    if config.get("die") == method:
        os.kill(os.getpid(), signal.SIGKILL)
