"""A death tells where its process began and how far it came, on both sides of Kafka."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.system.running_engine import RunningEngine, wait_for

pytestmark = [pytest.mark.broker, pytest.mark.system]

LINES = 300


def killed(engine: RunningEngine, name: str, old: int | None = None) -> dict[str, Any]:
    """Kill task 0 when it has committed; how it died."""

    def committed() -> dict[str, Any] | None:
        task = engine.task(name)
        is_new = old is None or task["generation"] > old
        return task if is_new and task["since_commit_seconds"] is not None else None

    task = wait_for(committed) or {}
    os.kill(task["pid"], signal.SIGKILL)

    def death() -> dict[str, Any] | None:
        told = engine.ask(f"/engine/tasks/{name}/0/explain").body["death"]
        return told if told and told["generation"] == task["generation"] else None

    return wait_for(death) or {}


def test_deaths_tell_the_offsets_before_and_after(tmp_path: Path, kafka: str, topic: str) -> None:
    file, sink = tmp_path / "in.txt", f"out-{topic}"
    file.write_text("".join(f"line {n}\n" for n in range(LINES)))
    worker = {
        "bootstrap.servers": kafka, "offset.flush.interval.ms": 100, "engine.restart.delay.ms": 50,
    }  # fmt: skip
    connectors = {
        "in": {"connector.class": "FileStreamSource", "file": file, "topic": topic},
        sink: {"connector.class": "FileStreamSink", "file": tmp_path / "out", "topics": topic},
    }
    engine = RunningEngine(tmp_path / "engine", worker, connectors)
    with engine.running():
        first = killed(engine, "in")
        found = file.stat()
        source = [[{"filename": str(file)}, {"position": found.st_size, "inode": found.st_ino}]]
        assert first["committed_after"] == source
        assert "committed_before" not in first

        with file.open("a") as more:
            more.write("one more\n")
        second = killed(engine, "in", first["generation"])
        assert second["committed_before"] == source
        assert second["committed_after"][0][1]["position"] == file.stat().st_size
        shown = engine.ask("/engine/tasks/in/0/explain").body["text"]
        assert f"filename={file}: position={file.stat().st_size}" in shown

        end = f"{topic}-0"
        wait_for(lambda: f"line {LINES - 1}\n" in (tmp_path / "out").read_text())
        out = killed(engine, sink)
        ((partition, offset),) = out["committed_after"]
        assert partition == end
        assert 0 < offset <= LINES + 1
