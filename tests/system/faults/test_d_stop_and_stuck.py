"""D. Tasks that do not stop, and tasks that are stuck."""

import os
import signal
import time

import pytest

from tests.system.faults.supervised import SupervisedEngine, is_alive, kill, pid_in
from tests.system.running_engine import wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def test_f30_a_task_that_ignores_sigterm_is_killed_after_its_time(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name)
    task = engine.wait_state(name, "RUNNING")
    engine.order(f"{name}-0", "ignore_sigterm")
    wait_for(lambda: engine.is_taken(f"{name}-0"))

    began = time.monotonic()
    engine.delete(name)

    assert 1.5 < time.monotonic() - began < 10
    assert not is_alive(task["pid"])
    assert "stopped, killed by SIGKILL (possibly out of memory)" in [
        line.get("reason") for line in engine.log()
    ]


def test_f31_a_stopped_process_wakes_up_to_end_in_good_order(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name)
    task = engine.wait_state(name, "RUNNING")
    kill(task["pid"], signal.SIGSTOP)

    began = time.monotonic()
    engine.delete(name)

    assert time.monotonic() - began < 2
    reasons = [line.get("reason") for line in engine.log() if line.get("connector") == name]
    assert reasons[-1] == "stopped, exit code 0"


def test_f32_a_stopped_process_is_noticed_explained_and_replaced(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name, engine_heartbeat_timeout_ms=1000)
    task = engine.wait_state(name, "RUNNING")
    kill(task["pid"], signal.SIGSTOP)

    after = engine.wait_anew(name, task)

    assert not is_alive(task["pid"])
    assert after["restarts"] == {"unresponsive": 1}
    assert after["reason"].startswith("no heartbeat for ")
    assert "in stage poll (killed by SIGABRT" in after["reason"]
    assert "task unresponsive" in engine.texts()


@pytest.mark.parametrize("order", ["gil 600", "gil_deaf 600"])
def test_f33_a_call_that_never_returns_is_noticed_and_its_stack_is_in_the_log(
    engine: SupervisedEngine, name: str, order: str
) -> None:
    engine.create(name, engine_heartbeat_timeout_ms=1000)
    task = engine.wait_state(name, "RUNNING")
    engine.order(f"{name}-0", order)

    after = engine.wait_anew(name, task)

    assert after["restarts"] == {"unresponsive": 1}
    log = (engine.data_dir / "logs" / f"{name}-0.log").read_text()
    assert "Fatal Python error: Aborted" in log
    assert "in hold_the_gil" in log


def test_a_task_that_announces_silence_is_left_alone(engine: SupervisedEngine, name: str) -> None:
    engine.create(name, engine_heartbeat_timeout_ms=600)
    task = engine.wait_state(name, "RUNNING")
    engine.order(f"{name}-0", "busy 2")
    wait_for(lambda: engine.is_taken(f"{name}-0"))

    wait_for(lambda: (engine.task(name)["heartbeat_age_seconds"] or 0) > 1.5)
    wait_for(lambda: (engine.task(name)["heartbeat_age_seconds"] or 9) < 0.5)

    assert engine.task(name)["pid"] == task["pid"]
    assert engine.task(name)["restarts_total"] == 0


@pytest.mark.parametrize("order", ["grandchild", "program"])
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_f36_what_a_task_left_behind_ends_with_it(
    engine: SupervisedEngine, name: str, order: str, how: str
) -> None:
    engine.create(name)
    task = engine.wait_state(name, "RUNNING")
    pid_file = engine.directory / f"{name}.pid"
    engine.order(f"{name}-0", f"{order} {pid_file}")
    grandchild = pid_in(pid_file)
    assert is_alive(grandchild)
    assert os.getsid(grandchild) != os.getsid(task["pid"])

    if how == "stop":
        engine.put(f"/connectors/{name}/stop")
        wait_for(lambda: engine.tasks(name) == [])
    else:
        kill(task["pid"])
        engine.wait_anew(name, task)

    assert not is_alive(grandchild)
