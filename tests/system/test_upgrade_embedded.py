"""F51 with all that an engine may have: an embedded broker, used budgets, a hundred tasks."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.system.faults.supervised import kill
from tests.system.running_engine import RunningEngine, wait_for
from tests.system.upgrading import NEW_VERSION, UP_TO_THE_LAST, Writer, counters, upgrade
from tests.system.versions import Versions

pytestmark = [pytest.mark.broker, pytest.mark.system, pytest.mark.timeout(175)]

PATIENCE = 120.0


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    made = Versions(tmp_path / "versions")
    made.make("old")
    made.choose("old")
    return made


class Copying:
    """An engine with its own broker that copies a file which grows, line by line."""

    def __init__(self, path: Path, versions: Versions, others: Mapping[str, Any]) -> None:
        self.given, self.got = path / "in", path / "out"
        self.given.touch()
        source = {"connector.class": "FileStreamSource", "file": self.given, "topic": "lines"}
        sink = {"connector.class": "FileStreamSink", "file": self.got, "topics": "lines"}
        worker = {
            "offset.flush.interval.ms": 200,
            "consumer.metadata.max.age.ms": 1000,
            "engine.restart.delay.ms": 0,
            # the first restart takes what there is for a quarter of an hour
            "engine.restart.host.budget.per.second": 0.001,
            "engine.restart.host.budget.burst": 1,
        }
        self.engine = RunningEngine(
            path / "run", worker, {"source": source, "sink": sink, **others}
        )
        words = self.engine.command
        self.engine.command = [str(versions.command), "standalone", "--embedded", *words[4:]]

    def start(self) -> None:
        """Until lines flow."""
        self.engine.start()
        wait_for(lambda: self.engine.ask("/health").status == 200, PATIENCE)
        wait_for(lambda: self.got.exists() and self.got.stat().st_size > 0, PATIENCE)

    def pids(self) -> dict[str, int | None]:
        """Of every task and of the broker."""
        tasks = self.engine.ask("/engine/tasks").body
        found = {f"{task['id']['connector']}": task["pid"] for task in tasks}
        return {**found, "broker": self.engine.pid_of("kafka.Kafka")}

    def check_all_arrived(self, lines: int) -> None:
        """Every line is there once: nobody was killed while it was moved."""
        wait_for(lambda: self.got.read_text().count("\n") >= lines, PATIENCE)
        assert self.got.read_text() == self.given.read_text()


@pytest.fixture
def copying(tmp_path: Path, versions: Versions) -> Iterator[Copying]:
    made = Copying(tmp_path, versions, {"spent": _idle(tmp_path)})
    with made.engine.ended():
        yield made


def _idle(path: Path) -> dict[str, Any]:
    line = path / "line"
    line.write_text("one\n")
    return {"connector.class": "FileStreamSource", "file": line, "topic": "idle"}


def test_f51_broker_and_budgets_survive_a_version_that_is_broken_and_one_that_is_not(
    copying: Copying, versions: Versions
) -> None:
    engine = copying.engine
    with Writer(copying.given) as writer:
        copying.start()
        first = engine.task("spent")["pid"]
        kill(first)  # and back at once: that was the only turn
        wait_for(lambda: engine.task("spent")["pid"] not in (None, first))
        wait_for(lambda: engine.task("spent")["condition"] == "RUNNING")
        before, counted = copying.pids(), [counters(engine)]

        versions.make("broken", NEW_VERSION, UP_TO_THE_LAST)
        versions.choose("broken")
        after = upgrade(engine)
        assert "ZeroDivisionError" in after["upgrade"]["problem"]
        assert copying.pids() == before
        counted.append(counters(engine))

        versions.make("new", NEW_VERSION)
        versions.choose("new")
        assert upgrade(engine)["upgrade"]["upgrades"] == 1
        assert copying.pids() == before
        counted.append(counters(engine))
        lines = writer.finish()
    copying.check_all_arrived(lines)
    assert counted == sorted(counted)

    kill(engine.task("spent")["pid"])
    wait_for(lambda: engine.task("spent")["condition"] == "BACKOFF")
    assert engine.task("spent")["retry_in_seconds"] > 60
    assert engine.stop() == 0
    assert engine.survivors() == []


@pytest.mark.slow
def test_f51_a_hundred_tasks_do_not_notice(tmp_path: Path, versions: Versions) -> None:
    idle = {f"idle{number}": _idle(tmp_path) for number in range(98)}
    copying = Copying(tmp_path, versions, idle)
    engine = copying.engine
    with engine.ended(), Writer(copying.given) as writer:
        copying.start()

        def moved() -> int:
            tasks = engine.ask("/engine/tasks").body
            return sum(task["counters"]["records_out"] > 0 for task in tasks)

        wait_for(lambda: moved() == 100, PATIENCE)
        before, counted = copying.pids(), counters(engine)
        versions.make("new", NEW_VERSION)
        versions.choose("new")

        assert upgrade(engine)["upgrade"]["upgrades"] == 1

        assert copying.pids() == before
        assert len(before) == 101
        assert moved() == 100
        assert counters(engine) >= counted
        copying.check_all_arrived(writer.finish())
        assert copying.pids() == before
        assert engine.stop() == 0
        assert engine.survivors() == []
