"""F51: a new version takes over from the running one, and no task notices."""

import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from tests.system.faults.supervised import SupervisedEngine, children_of, kill
from tests.system.running_engine import RunningEngine, wait_for
from tests.system.upgrading import (
    BROKEN_HERDER,
    BROKEN_TASKS,
    NEW_VERSION,
    UP_TO_THE_LAST,
    Writer,
    counters,
    upgrade,
)
from tests.system.versions import Versions

pytestmark = [pytest.mark.system, pytest.mark.timeout(170)]


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    made = Versions(tmp_path / "versions")
    made.make("old")
    made.choose("old")
    return made


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[SupervisedEngine]:
    """Tasks in all the conditions that a task can be in for long."""
    made = SupervisedEngine(
        tmp_path / "engine",
        {"engine.restart.delay.ms": 3600_000, "engine.restart.delay.max.ms": 3600_000},
        {
            "calm": {"tasks_max": 3},
            "loud": {"chatters": "yes", "poll_ms": 2},
            "paused": {},
            "failed": {"at_start": "raise ConfigError never works"},
            "waiting": {"at_start": "exit 3"},
        },
    )
    with made.ended():
        yield made


def start(engine: SupervisedEngine, versions: Versions) -> None:
    assert engine.command[1:3] == ["-m", "engine"]
    engine.command[:3] = [str(versions.command)]
    engine.start()
    engine.wait_ready()
    engine.wait_state("loud", "RUNNING")
    engine.put("/connectors/paused/pause")
    engine.wait_state("paused", "PAUSED")
    engine.wait_state("failed", "FAILED")
    engine.wait_state("waiting", "BACKOFF")
    for number in range(3):
        engine.wait_state("calm", "RUNNING", number)


def known(engine: SupervisedEngine) -> list[dict[str, Any]]:
    """What must be the same before and after."""
    names = ("id", "condition", "pid", "generation", "restarts", "reason", "exit_code", "trace")
    return [{name: task[name] for name in names} for task in engine.tasks()]


def test_f51_a_new_version_finds_every_task_as_it_was(
    engine: SupervisedEngine, versions: Versions
) -> None:
    start(engine, versions)
    versions.make("new", NEW_VERSION)
    before, retry = known(engine), engine.task("waiting")["retry_in_seconds"]
    old_children = set(children_of(engine.process.pid))
    old_version = engine.ask("/engine/worker").body["version"]
    versions.choose("new")

    with Caller(engine) as caller:
        worker = upgrade(engine)

    assert caller.refused == []
    assert set(caller.answered) == {200}
    assert worker["upgrade"] == {
        "attempts": 1, "upgrades": 1, "is_running": False, "problem": None,
    }  # fmt: skip
    assert worker["version"] == f"9{old_version}"
    assert worker["supervisor_pid"] == engine.process.pid
    assert known(engine) == before
    assert retry - 120 < engine.task("waiting")["retry_in_seconds"] < retry
    tasks = {task["pid"] for task in before if task["pid"]}
    wait_for(lambda: old_children & set(children_of(engine.process.pid)) == tasks)
    # and everything still obeys
    engine.put("/connectors/paused/resume")
    engine.wait_state("paused", "RUNNING")
    kill(engine.task("calm")["pid"])
    engine.wait_state("calm", "BACKOFF")
    answer = engine.ask("/connectors/waiting/tasks/0/restart", "POST")
    assert answer.status == 204
    wait_for(lambda: engine.task("waiting")["restarts_total"] > 1)
    engine.check_promises()
    check_words(engine)
    assert engine.stop() == 0
    assert engine.survivors() == []


class Caller:
    """Asks all the time; those who come while nobody answers have to wait, not to come again."""

    def __init__(self, engine: SupervisedEngine) -> None:
        self._engine = engine
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._call)
        self.refused: list[OSError] = []
        self.answered: list[int] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _call(self) -> None:
        while not self._is_over.wait(0.01):
            try:
                self.answered.append(self._engine.ask("/connectors").status)
            except OSError as error:
                if not isinstance(error, ConnectionResetError):  # it was being answered
                    self.refused.append(error)


def check_words(engine: SupervisedEngine) -> None:
    """Every line that the loud task printed is in its log, once and in order."""
    log = engine.data_dir / "logs" / "loud-0.log"
    words = [int(found) for found in re.findall(r'"word (\d+)"', log.read_text())]
    assert words == list(range(len(words)))
    assert len(words) > 500


def test_f51_a_version_that_is_seen_to_be_broken_is_not_even_tried(
    engine: SupervisedEngine, versions: Versions
) -> None:
    start(engine, versions)
    versions.make("broken", NEW_VERSION, BROKEN_TASKS)
    before, worker = known(engine), engine.ask("/engine/worker").body
    for number, name, problem in (
        (1, "broken", "its zygote cannot work: module engine.task.bootstrap: ModuleNotFoundError"),
        (2, "missing", "bin/engine cannot be executed: No such file or directory"),
    ):
        versions.choose(name)

        after = upgrade(engine)

        assert problem in after["upgrade"]["problem"]
        assert after["herder_pid"] == worker["herder_pid"]
        assert (after["upgrade"]["attempts"], after["upgrade"]["upgrades"]) == (number, 0)
        assert known(engine) == before
    assert engine.stop() == 0


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param(UP_TO_THE_LAST, "ZeroDivisionError: division by zero", id="supervisor"),
        pytest.param(
            BROKEN_HERDER, "its herder does not get ready", marks=pytest.mark.slow, id="herder"
        ),
    ],
)
def test_f51_a_version_that_does_not_come_up_goes_back_to_the_one_before(
    engine: SupervisedEngine, versions: Versions, change: tuple[str, str, str], problem: str
) -> None:
    start(engine, versions)
    versions.make("new", NEW_VERSION, change)
    before, worker = known(engine), engine.ask("/engine/worker").body
    versions.choose("new")

    after = upgrade(engine)

    assert problem in after["upgrade"]["problem"]
    assert after["upgrade"]["upgrades"] == 0
    assert after["version"] == worker["version"]
    assert known(engine) == before
    engine.check_promises()
    check_words(engine)
    assert engine.stop() == 0
    assert engine.survivors() == []


@pytest.mark.slow
def test_f51_a_stop_in_the_middle_of_an_upgrade_stops(
    engine: SupervisedEngine, versions: Versions
) -> None:
    start(engine, versions)
    for hundredths in (80, 160):  # while the new version is checked, and about when it takes over
        if engine.process.poll() is not None:
            engine.start()
            engine.wait_ready()
        engine.process.send_signal(signal.SIGUSR2)
        threading.Event().wait(hundredths / 100)
        assert engine.stop() == 0
        assert engine.survivors() == []


def test_f51_records_flow_through_upgrades_none_lost_none_twice(
    tmp_path: Path, kafka: str, topic: str
) -> None:
    given, got = tmp_path / "in", tmp_path / "out"
    given.touch()
    engine = RunningEngine(
        tmp_path / "run",
        {"bootstrap.servers": kafka, "offset.flush.interval.ms": 200},
        {
            "source": {"connector.class": "FileStreamSource", "file": given, "topic": topic},
            "sink": {"connector.class": "FileStreamSink", "file": got, "topics": topic},
        },
    )
    with engine.ended(), Writer(given) as writer:
        engine.start()
        engine.wait_ready()
        wait_for(lambda: got.exists() and got.stat().st_size > 0)
        pids = [engine.task(name)["pid"] for name in ("source", "sink")]
        counted = [counters(engine)]
        for number in (1, 2):
            assert upgrade(engine)["upgrade"]["upgrades"] == number
            counted.append(counters(engine))
        lines = writer.finish()
        wait_for(lambda: got.read_text().count("\n") >= lines)
        assert [engine.task(name)["pid"] for name in ("source", "sink")] == pids
        assert got.read_text() == given.read_text()
        assert counted == sorted(counted)
        assert counted[-1][0] <= lines
        assert engine.stop() == 0
        assert engine.survivors() == []
