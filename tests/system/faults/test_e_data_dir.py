"""E. What is left of an engine that was not asked, and what becomes of its files meanwhile."""

import subprocess
from collections.abc import Callable

import pytest

from tests.system.faults.supervised import SupervisedEngine, is_alive, kill
from tests.system.running_engine import wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def test_f47_what_a_power_failure_left_behind_keeps_nobody_from_starting(
    own_engine: Callable[..., SupervisedEngine],
) -> None:
    """Numbers of processes in files mean nothing: here they are those of a living stranger."""
    engine = own_engine(connectors={"calm": {"tasks_max": 2}})
    engine.start()
    engine.wait_ready()
    tasks = [engine.wait_state("calm", "RUNNING", number) for number in range(2)]
    for pid in (engine.process.pid, *(int(each.split()[0]) for each in engine.survivors())):
        if is_alive(pid):
            kill(pid)
    engine.process.wait()
    wait_for(lambda: engine.survivors() == [])
    left = [engine.data_dir / "lock", *(engine.data_dir / "tasks").iterdir()]
    assert len(left) == 3
    stranger = subprocess.Popen(["sleep", "1000"], cwd="/")
    for path in left:
        path.write_text(f"{stranger.pid}\n")
    (engine.data_dir / "epoch.new").write_text("")
    (engine.data_dir / "supervisor.new").write_bytes(b"\0")

    engine.start()
    engine.wait_ready()

    for number, task in enumerate(tasks):
        assert engine.wait_state("calm", "RUNNING", number)["generation"] > task["generation"]
    engine.check_promises()
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_f49_a_broken_state_file_stops_nobody(own_engine: Callable[..., SupervisedEngine]) -> None:
    engine = own_engine(connectors={"calm": {}})
    engine.start()
    engine.wait_ready()
    task = engine.wait_state("calm", "RUNNING")
    kill(task["pid"])
    engine.wait_anew("calm", task)
    engine.kill()
    path = engine.data_dir / "supervisor.state"
    path.write_bytes(b"\0" * 100 + path.read_bytes()[:-9])

    engine.start()
    engine.wait_ready()

    assert engine.wait_state("calm", "RUNNING")["restarts"] == {"killed": 1}  # a line that is whole
    assert "the state file has unreadable lines" in engine.texts()
    assert engine.stop() == 0


def test_f50_a_second_engine_on_the_same_data_is_refused_and_touches_nothing(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name)
    task = engine.wait_state(name, "RUNNING")
    before = {path: path.stat().st_size for path in engine.data_dir.iterdir() if path.is_file()}

    second = subprocess.run(engine.command, capture_output=True, timeout=60, check=False)

    assert second.returncode == 100
    assert f"in use by another engine (pid {engine.process.pid})" in second.stderr.decode()
    after = {path: path.stat().st_size for path in engine.data_dir.iterdir() if path.is_file()}
    assert after.keys() == before.keys()
    assert engine.task(name)["pid"] == task["pid"]
