"""D. Tasks that do not stop, and tasks that are stuck."""

import os
import re
import signal
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from tests.system.faults.supervised import (
    PLUGINS,
    SupervisedEngine,
    is_alive,
    kill,
    open_files,
    pid_in,
    stat_of,
)
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
    reasons = [line.get("reason", "") for line in engine.log() if line.get("connector") == name]
    assert re.fullmatch(r"stopped, did not end within 2\S* s, killed by SIGABRT.*", reasons[-1])
    log = (engine.data_dir / "logs" / f"{name}-0.log").read_text()
    assert "in ignore_sigterm" in log


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
    # asked to end, it does, for it was awake again
    assert after["reason"].endswith("in stage poll (exit code 0)")
    assert "task unresponsive" in engine.texts()
    log = (engine.data_dir / "logs" / f"{name}-0.log").read_text()
    assert "(most recent call first)" in log
    assert "bootstrap.py" in log


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
    assert "in hold_the_gil" in log
    assert ("Fatal Python error: Aborted" in log) == (order == "gil 600")  # the other one woke up


def test_a_task_that_announces_silence_is_left_alone(engine: SupervisedEngine, name: str) -> None:
    engine.create(name, engine_heartbeat_timeout_ms=600)
    task = engine.wait_state(name, "RUNNING")
    engine.order(f"{name}-0", "busy 2")
    wait_for(lambda: engine.is_taken(f"{name}-0"))

    wait_for(lambda: (engine.task(name)["heartbeat_age_seconds"] or 0) > 1.5)
    wait_for(lambda: (engine.task(name)["heartbeat_age_seconds"] or 9) < 0.5)

    assert engine.task(name)["pid"] == task["pid"]
    assert engine.task(name)["restarts_total"] == 0


def test_a_stage_has_a_deadline_of_its_own(engine: SupervisedEngine, name: str) -> None:
    engine.create(name, engine_stage_poll_timeout_ms=700, engine_heartbeat_timeout_ms=600_000)
    task = engine.wait_state(name, "RUNNING")
    engine.order(f"{name}-0", "wait 3600")

    after = engine.wait_anew(name, task)

    assert "in stage poll" in after["reason"]


def test_a_slow_start_may_take_the_time_that_it_announces(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name, at_start="busy 1.5", engine_start_timeout_ms=500)

    task = engine.wait_state(name, "RUNNING")

    assert task["restarts_total"] == 0


def test_f34_a_task_that_gets_nowhere_is_degraded_until_it_moves(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name, engine_progress_timeout_ms=500)
    task = engine.wait_state(name, "RUNNING")
    engine.order(f"{name}-0", "lag 1200")

    degraded = engine.wait_state(name, "DEGRADED")

    assert degraded["note"].startswith("1200 records wait and none has moved for ")
    status = engine.ask(f"/connectors/{name}/status").body["tasks"][0]
    assert status == {**status, "state": "RUNNING"}
    assert "trace" not in status
    metric = f'engine_task_state{{connector="{name}",state="DEGRADED",task="0"}} 1.0'
    assert metric in engine.ask("/metrics").body
    engine.order(f"{name}-0", "lag 0")
    after = engine.wait_state(name, "RUNNING")
    assert after["pid"] == task["pid"]
    assert "records wait" not in (after["note"] or "")


@pytest.mark.slow
def test_f34_a_task_that_gets_nowhere_is_restarted_where_that_is_wished(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name, engine_progress_timeout_ms=500, engine_progress_restart="true")
    task = engine.wait_state(name, "RUNNING")
    engine.order(f"{name}-0", "lag 7")

    after = engine.wait_anew(name, task)

    assert after["restarts"] == {"no_progress": 1}
    assert after["reason"].startswith("7 records wait and none has moved for ")


def test_f38_a_task_that_needs_longer_to_stop_gets_it(engine: SupervisedEngine, name: str) -> None:
    engine.create(name, at_stop="busy 3", engine_stop_timeout_ms=500)
    engine.wait_state(name, "RUNNING")

    engine.delete(name)

    reasons = [line.get("reason") for line in engine.log() if line.get("connector") == name]
    assert reasons[-1] == "stopped, exit code 0"


def test_f38_but_no_longer_than_the_maximum(engine: SupervisedEngine, name: str) -> None:
    engine.create(
        name, at_stop="busy 3600", engine_stop_timeout_ms=300, engine_stop_timeout_max_ms=900
    )
    engine.wait_state(name, "RUNNING")

    engine.delete(name)

    reasons = [line.get("reason", "") for line in engine.log() if line.get("connector") == name]
    assert re.fullmatch(
        r"stopped, did not end within (0\.9|1)\S* s, killed by SIGABRT.*", reasons[-1]
    )


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


def test_f37_whoever_keeps_a_dead_tasks_output_open_holds_up_nobody(
    engine: SupervisedEngine, name: str
) -> None:
    """Nothing tells whose this one is, so it lives on."""
    engine.create(name)
    task = engine.wait_state(name, "RUNNING")
    pid_file = engine.directory / f"{name}.pid"
    engine.order(f"{name}-0", f"nameless {pid_file}")
    keeper = pid_in(pid_file)
    pipe = os.readlink(f"/proc/{task['pid']}/fd/1")
    assert pipe in open_files(keeper)

    engine.order(f"{name}-0", "print_and_die last words")
    after = engine.wait_anew(name, task)
    engine.order(f"{name}-0", "say the next one's word")
    wait_for(lambda: engine.is_taken(f"{name}-0"))

    log = engine.data_dir / "logs" / f"{name}-0.log"
    wait_for(lambda: "the next one's word" in log.read_text())
    assert log.read_text().count('"last words"') == 500
    assert is_alive(keeper)
    engine.delete(name)
    assert not is_alive(after["pid"])
    kill(keeper)


def test_f35_a_process_that_even_sigkill_does_not_end_holds_up_nothing(
    own_engine: Callable[..., SupervisedEngine], frozen: Callable[[], Path]
) -> None:
    """A write to a frozen file system waits where no signal reaches it."""
    engine = own_engine(
        connectors={"stuck": {}, "calm": {}}, worker={"task.shutdown.graceful.timeout.ms": 500}
    )
    engine.start()
    engine.wait_ready()
    task = engine.wait_state("stuck", "RUNNING")
    engine.wait_state("calm", "RUNNING")
    engine.order("stuck-0", f"write {frozen() / 'file'}")
    wait_for(lambda: stat_of(task["pid"])[:1] == ["D"])

    engine.process.terminate()

    assert engine.wait_end(60) == 1
    errors = [line for line in engine.log() if line["level"] == "error"]
    assert [line["reason"] for line in errors if line["event"] == "task unkillable"] == [
        f"SIGKILL did not end it within 5 s: pid {task['pid']} is in state D, in percpu_rwsem_wait"
    ]
    left = [line["tasks"] for line in errors if "left behind" in line["event"]]
    assert [list(each) for each in left] == [["stuck-0"]]
    assert [pid for pid in engine.survivors() if not pid.startswith(f"{task['pid']} ")] == []


def test_py_spy_is_asked_too_where_it_is_installed(
    own_engine: Callable[..., SupervisedEngine], tmp_path: Path
) -> None:
    spy = tmp_path / "bin" / "py-spy"
    spy.parent.mkdir()
    spy.write_text('#!/bin/sh\necho "spied on: $*"\n')
    spy.chmod(0o755)
    engine = own_engine(connectors={"stuck": {}}, worker={"engine.heartbeat.timeout.ms": 700})
    path = f"{spy.parent}:{os.environ['PATH']}"
    engine.start(env={**os.environ, "PYTHONPATH": str(PLUGINS), "PATH": path})
    engine.wait_ready()
    task = engine.wait_state("stuck", "RUNNING")
    engine.order("stuck-0", "wait 3600")

    engine.wait_anew("stuck", task)

    log = (engine.data_dir / "logs" / "stuck-0.log").read_text()
    assert f"spied on: dump --pid {task['pid']}" in log
    death = engine.ask("/engine/tasks/stuck/0/explain").body["death"]
    assert f"spied on: dump --pid {task['pid']}" in death["stacks"]
    assert "in poll" in death["stacks"]
    assert (death["stage"], death["exit_class"]) == ("poll", "unresponsive")
    assert engine.stop() == 0


@pytest.mark.slow
def test_a_py_spy_that_hangs_holds_up_nothing(
    own_engine: Callable[..., SupervisedEngine], tmp_path: Path
) -> None:
    spy = tmp_path / "py-spy"
    spy.write_text("#!/bin/sh\nexec sleep 3600\n")
    spy.chmod(0o755)
    engine = own_engine(connectors={"stuck": {}}, worker={"engine.heartbeat.timeout.ms": 700})
    path = f"{tmp_path}:{os.environ['PATH']}"
    engine.start(env={**os.environ, "PYTHONPATH": str(PLUGINS), "PATH": path})
    engine.wait_ready()
    task = engine.wait_state("stuck", "RUNNING")
    engine.order("stuck-0", "wait 3600")

    engine.wait_anew("stuck", task)

    assert engine.stop() == 0
    assert engine.survivors() == []


def test_f39_many_tasks_are_stopped_side_by_side(
    own_engine: Callable[..., SupervisedEngine],
) -> None:
    engine = own_engine(
        connectors={
            "calm": {"tasks_max": 30, "poll_ms": 500},
            "deaf": {"tasks_max": 10, "at_stop": "ignore_sigterm"},
        },
        worker={"task.shutdown.graceful.timeout.ms": 1500, "engine.zygote.spares": 0},
    )
    engine.start()
    engine.wait_ready()
    wait_for(lambda: [t["condition"] for t in engine.tasks()] == ["RUNNING"] * 40, 60)

    engine.process.terminate()

    assert engine.wait_end(60) == 0
    assert engine.survivors() == []
    ends = [line for line in engine.log() if line["event"] == "task process ended"]
    reasons = [line["reason"] for line in ends if line["connector"] == "deaf"]
    assert len(reasons) == 10
    assert all(reason.startswith("stopped, did not end within ") for reason in reasons)
    # the last of the deaf was told to end before the first of them was aborted
    assert len([line for line in ends if line["connector"] == "calm"]) == 30
    at = [line["timestamp"] for line in ends if line["connector"] == "deaf"]
    spread = datetime.fromisoformat(max(at)) - datetime.fromisoformat(min(at))
    assert spread.total_seconds() < 10 * 1.5
