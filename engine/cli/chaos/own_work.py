"""The work directory of an engine that chaos starts: what is in it, and its configuration files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MEMORY_LIMIT: Final = 128 << 20
_HOG: Final = "engine.testing.memory_hog.MemoryHog"

_WORKER: Final = {
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    "offset.flush.interval.ms": "500",
    # sinks subscribe before their topics exist
    "consumer.metadata.max.age.ms": "1000",
    # figures are of the recovery, not of a wait that somebody has chosen
    "engine.restart.delay.ms": "0",
    "engine.restart.jitter": "0",
    "engine.restart.policy": "always",
    "engine.heartbeat.timeout.ms": "3000",
    # who uses memory when told to is to die of that
    "engine.stage.transform.timeout.ms": "60000",
    "engine.limit.memory.hard.bytes": str(MEMORY_LIMIT),
    "engine.zygote.preload": _HOG.rpartition(".")[0],
    "engine.log.format": "console",
}


@dataclass(frozen=True, slots=True)
class Pair:
    """A source and a sink with a topic between them."""

    number: int
    work_dir: Path

    @property
    def source(self) -> str:
        """The source's name."""
        return f"source{self.number}"

    @property
    def sink(self) -> str:
        """The sink's name."""
        return f"sink{self.number}"

    @property
    def input(self) -> Path:
        """What the source reads."""
        return self.work_dir / f"input{self.number}.log"

    @property
    def output(self) -> Path:
        """What the sink writes, on the disk that may be filled."""
        return self.work_dir / "disk" / f"output{self.number}.log"

    def configs(self) -> Iterator[dict[str, str]]:
        """Of both connectors."""
        topic = f"lines{self.number}"
        source = {"connector.class": "FileStreamSource", "file": str(self.input), "topic": topic}
        sink = {"connector.class": "FileStreamSink", "file": str(self.output), "topics": topic}
        for name, config in ((self.source, source), (self.sink, sink)):
            yield {
                "name": name, **config, "tasks.max": "1",
                "transforms": "hog", "transforms.hog.type": _HOG,
                "transforms.hog.cue": str(self.work_dir / f"{name}-0.cue"),
                "transforms.hog.bytes": str(MEMORY_LIMIT * 5 // 4),
            }  # fmt: skip


class WorkDir:
    """Makes everything but the disk, which may be mounted on ``disk`` before :meth:`write`."""

    def __init__(self, path: Path, pairs: int) -> None:
        self.path = path.absolute()
        self.disk = self.path / "disk"
        self.pairs = [Pair(number, self.path) for number in range(pairs)]
        self.log = self.path / "engine.log"
        self.disk.mkdir(parents=True)

    @property
    def data_dir(self) -> Path:
        """The engine's own; its broker's data are not on the disk that may be filled."""
        return self.disk / "engine"

    def write(self, port: int) -> list[Path]:
        """The configuration files, the worker's first."""
        (self.path / "kafka").mkdir()
        self.data_dir.mkdir()
        (self.data_dir / "kafka").symlink_to(self.path / "kafka")
        url, data_dir = f"http://127.0.0.1:{port}", str(self.data_dir)
        worker = {**_WORKER, "listeners": url, "engine.data.dir": data_dir}
        configs = [config for pair in self.pairs for config in pair.configs()]
        files = [_written(self.path / "worker.properties", worker)]
        files += [_written(self.path / f"{each['name']}.properties", each) for each in configs]
        return files

    def cue_of(self, task: str) -> Path:
        """What tells a task to use too much memory."""
        return self.path / f"{task}.cue"


def _written(path: Path, config: Mapping[str, str]) -> Path:
    path.write_text("".join(f"{key}={value}\n" for key, value in config.items()), "utf-8")
    return path
