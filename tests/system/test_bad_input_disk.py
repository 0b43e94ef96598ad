"""Disks that fill up while tasks run: work goes on where it can, nothing is lost, all is told."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.disk import tmpfs
from tests.system.running_engine import RunningEngine, wait_for

pytestmark = [pytest.mark.broker, pytest.mark.system]

LINES = 500


class Copy:
    """A file that is copied through Kafka, with the engine's state and the copy on small disks."""

    def __init__(self, path: Path, kafka: str, topic: str) -> None:
        self.sink = f"out-{topic}"
        self.file, self.state, self.disk = path / "in.txt", path / "state", path / "disk"
        self.out = self.disk / "out.txt"
        self.count = 0
        worker = {
            "bootstrap.servers": kafka, "engine.data.dir": self.state / "data",
            "offset.flush.interval.ms": 100, "engine.restart.delay.ms": 50,
        }  # fmt: skip
        source = {"connector.class": "FileStreamSource", "file": self.file, "topic": topic}
        sink = {"connector.class": "FileStreamSink", "file": self.out, "topics": topic}
        self.engine = RunningEngine(path / "engine", worker, {"in": source, self.sink: sink})

    def append(self) -> None:
        with self.file.open("a") as file:
            file.writelines(f"line {self.count + n}\n" for n in range(LINES))
        self.count += LINES

    def written(self) -> list[str]:
        text = self.out.read_text() if self.out.exists() else ""
        assert text.endswith("\n") or not text, "a torn line"
        return list(dict.fromkeys(text.splitlines()))

    def wait_written(self) -> None:
        """Wait until every line is there, in order."""
        wait_for(lambda: len(self.written()) == self.count)
        assert self.written() == [f"line {n}" for n in range(self.count)]

    def wait_committed(self) -> None:
        """Wait until the source's offset is the file's size."""
        size = self.file.stat().st_size
        wait_for(lambda: [o["offset"]["position"] for o in self.engine.offsets("in")] == [size])


@pytest.fixture
def copy(tmp_path: Path, kafka: str, topic: str) -> Iterator[Copy]:
    made = Copy(tmp_path, kafka, topic)
    with tmpfs(made.state, "size=4m"), tmpfs(made.disk, "size=1m"), made.engine.running():
        made.append()
        made.wait_written()
        made.wait_committed()
        yield made


@contextlib.contextmanager
def filled(disk: Path) -> Iterator[None]:
    """A disk without room for a single byte more."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    try:
        yield
    finally:
        filler.unlink()


def kill(engine: RunningEngine, title: str) -> None:
    """Kill a process and wait for its successor."""
    pid = wait_for(lambda: engine.pid_of(title))
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: engine.pid_of(title) not in (None, pid))


def test_a_data_directory_that_fills_up_stops_no_task(copy: Copy) -> None:
    engine = copy.engine
    said = "offsets cannot be stored: "
    with filled(copy.state):
        copy.append()
        copy.wait_written()
        engine.wait_condition("in", said)
        assert engine.task("in")["note"] == (
            f"{said}{engine.data_dir}/offsets/in.db: the disk is full (database or disk is full)"
        )
        kill(engine, "task in-0")
        engine.wait_condition("in", said)
        copy.append()
        copy.wait_written()
        refused = engine.ask("/connectors/new/config", "PUT", {"connector.class": "FileStreamSink",
            "topics": "t"})  # fmt: skip
        assert refused == (
            500,
            {
                "error_code": 500,
                "message": f"{engine.data_dir}/herder.db: the disk is full "
                "(database or disk is full)",
            },
        )
        assert engine.ask("/connectors/new").status == 404
        kill(engine, "engine: herder")
        engine.wait_condition("in", said)
        assert engine.task("in")["state"] == "RUNNING"
    engine.wait_condition_over("in", said)
    copy.wait_committed()
    kill(engine, "task in-0")
    copy.append()
    copy.wait_written()


def test_a_sinks_disk_that_fills_up_holds_records_back(copy: Copy) -> None:
    engine = copy.engine
    said = f"put failed and is tried again: file {copy.out} cannot be written: No space left on"
    with filled(copy.disk):
        copy.append()
        engine.wait_condition(copy.sink, said)
        assert engine.task(copy.sink)["state"] == "RUNNING"
        copy.wait_committed()
        [committed] = wait_for(lambda: engine.offsets(copy.sink))
        assert committed["offset"]["kafka_offset"] <= len(copy.written()) < copy.count
        kill(engine, f"task {copy.sink}-0")
        engine.wait_condition(copy.sink, said)
    engine.wait_condition_over(copy.sink, said)
    copy.wait_written()
