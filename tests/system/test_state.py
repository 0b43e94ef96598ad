"""``engine state`` beside a running engine: a backup under load, and what can be done with it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.system.faults.supervised import SupervisedEngine
from tests.system.running_engine import RunningEngine, wait_for
from tests.system.upgrading import Writer

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def state(action: str, *arguments: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "engine", "state", action, "--json", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_backup_is_made_under_load_and_what_came_after_it_comes_again(
    tmp_path: Path, kafka: str, topic: str
) -> None:
    given, got, backup = tmp_path / "in", tmp_path / "out", tmp_path / "b.tar.gz"
    given.touch()
    engine = RunningEngine(
        tmp_path / "run",
        {"bootstrap.servers": kafka, "offset.flush.interval.ms": 100},
        {
            "source": {"connector.class": "FileStreamSource", "file": given, "topic": topic},
            "sink": {"connector.class": "FileStreamSink", "file": got, "topics": topic},
        },
    )
    worker = engine.directory / "worker.properties"
    with engine.ended(), Writer(given) as writer:
        engine.start()
        engine.wait_ready()
        wait_for(lambda: engine.offsets("source"))
        made = state("backup", worker, backup)
        assert made.returncode == 0, made.stderr
        names = [each["name"] for each in json.loads(made.stdout)["files"]]
        assert {"herder.db", "offsets/source.db", "epoch"} <= set(names)
        refused = state("restore", worker, backup)
        assert refused.returncode == 100
        assert f"in use by another engine (pid {engine.process.pid})" in refused.stderr
        before = position(engine)
        wait_for(lambda: position(engine) > before)
        lines = writer.finish()
        wait_for(lambda: got.exists() and got.read_text().count("\n") >= lines)
        assert engine.stop() == 0

        put = state("restore", worker, backup)

        assert put.returncode == 0, put.stderr
        assert Path(json.loads(put.stdout)["aside"]).is_dir()
        engine.start()
        engine.wait_ready()
        wait_for(lambda: position(engine) == given.stat().st_size)
        wait_for(lambda: got.read_text().splitlines()[-1] == str(lines - 1))
        arrived = got.read_text().splitlines()
        assert sorted(set(map(int, arrived))) == list(range(lines))
        assert len(arrived) > lines  # what came after the backup came again
        assert engine.stop() == 0


def position(engine: RunningEngine) -> int:
    found: int = engine.offsets("source")[0]["offset"]["position"]
    return found


@pytest.mark.slow
def test_connectors_come_back_with_their_states(tmp_path: Path) -> None:
    engine = SupervisedEngine(tmp_path / "engine")
    worker, backup = engine.directory / "worker.properties", tmp_path / "b.tar.gz"
    with engine.running():
        engine.create("kept")
        engine.create("paused")
        engine.put("/connectors/paused/pause")
        engine.wait_state("paused", "PAUSED")
        engine.wait_state("kept", "RUNNING")
        assert state("backup", worker, backup).returncode == 0
        engine.delete("kept")
        engine.create("later")
    assert state("restore", worker, backup).returncode == 0
    with engine.running():
        answer: Any = engine.ask("/connectors").body
        assert answer == ["kept", "paused"]
        engine.wait_state("kept", "RUNNING")
        engine.wait_state("paused", "PAUSED")
