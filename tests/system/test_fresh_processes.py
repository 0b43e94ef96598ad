"""Tasks that get a fresh process now and then: after a commit, so that nothing comes twice."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.running_engine import RunningEngine, wait_for

pytestmark = [pytest.mark.broker, pytest.mark.system, pytest.mark.timeout(120)]

ROUNDS, LINES = 3, 500


def test_fresh_processes_after_so_many_records_lose_nothing_and_repeat_nothing(
    tmp_path: Path, kafka: str, unique: Callable[[str], str]
) -> None:
    topic = unique("lines")
    source_file, sink_file = tmp_path / "in.txt", tmp_path / "out.txt"
    recycled = {"engine.recycle.records": 200}
    engine = RunningEngine(
        tmp_path / "engine",
        # nothing but the end of a process makes a commit
        {"bootstrap.servers": kafka, "offset.flush.interval.ms": 3_600_000},
        {
            "source": {
                "connector.class": "FileStreamSource", "file": source_file, "topic": topic,
                **recycled,
            },
            "sink": {
                "connector.class": "FileStreamSink", "file": sink_file, "topics": topic,
                **recycled,
            },
        },
    )  # fmt: skip
    with engine.running():
        for round_number in range(1, ROUNDS + 1):
            with source_file.open("a") as file:
                first = (round_number - 1) * LINES
                file.writelines(f"line {number}\n" for number in range(first, first + LINES))
            for name in ("source", "sink"):
                wait_recycled(engine, name, round_number)
        wait_for(lambda: len(lines_of(sink_file)) >= ROUNDS * LINES)

    assert lines_of(sink_file) == [f"line {number}" for number in range(ROUNDS * LINES)]


def wait_recycled(engine: RunningEngine, name: str, times: int) -> None:
    """Wait until a task has had so many fresh processes, and nothing else."""
    wait_for(lambda: engine.task(name)["restarts"].get("recycled", 0) >= times)
    assert set(engine.task(name)["restarts"]) == {"recycled"}
    assert engine.task(name)["exit_code"] == 0


def lines_of(path: Path) -> list[str]:
    """The whole lines of a file."""
    return path.read_text().split("\n")[:-1] if path.exists() else []
