"""A. Death of a task: noticed, explained, answered; nobody else is touched."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.faults.supervised import (
    PLUGINS,
    SupervisedEngine,
    children_of,
    is_alive,
    kill,
    pid_in,
)
from tests.system.running_engine import wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def test_f01_a_killed_task_is_explained_and_restarted_and_its_neighbour_is_not(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name, tasks_max=2)
    victim = engine.wait_state(name, "RUNNING", 0)
    neighbour = engine.wait_state(name, "RUNNING", 1)

    kill(victim["pid"])

    after = engine.wait_anew(name, victim)
    assert after["pid"] != victim["pid"]
    assert after["exit_code"] == -9
    # "possibly" where the kernel has ended anything on this machine for want of memory of late
    assert after["reason"].removesuffix(" (possibly out of memory)") == "killed by SIGKILL"
    assert (after["restarts"], after["restarts_total"]) == ({"killed": 1}, 1)
    assert engine.task(name, 1)["pid"] == neighbour["pid"]
    metric = f'engine_task_restarts_total{{connector="{name}",reason="killed",task="0"}} 1.0'
    assert metric in engine.ask("/metrics").body
    ends = [
        line
        for line in engine.log()
        if line.get("connector") == name and line["event"] == "task process ended"
    ]
    assert len(ends) == 1


def test_f02_a_task_that_exits_with_0_has_failed_too(engine: SupervisedEngine, name: str) -> None:
    """A task lives until it is told to end; leaving early is no success."""
    engine.create(name)
    task = engine.wait_state(name, "RUNNING")

    engine.order(f"{name}-0", "exit 0")

    after = engine.wait_anew(name, task)
    assert (after["exit_code"], after["restarts"]) == (0, {"clean": 1})


def test_f03_a_crash_names_its_signal(engine: SupervisedEngine, name: str) -> None:
    engine.create(name)
    task = engine.wait_state(name, "RUNNING")

    engine.order(f"{name}-0", f"kill {signal.SIGSEGV.value}")

    after = engine.wait_anew(name, task)
    assert after["reason"].startswith("killed by SIGSEGV")
    assert (after["exit_code"], after["restarts"]) == (-signal.SIGSEGV, {"crash": 1})


@pytest.mark.parametrize(
    ("order", "code", "words"),
    [
        ("raise ConfigError no such table", 78, "ConfigError: no such table"),
        ("raise AuthenticationError refused", 77, "AuthenticationError: refused"),
    ],
)
def test_f04_a_permanent_error_fails_the_task_with_its_trace_and_without_a_retry(
    engine: SupervisedEngine, name: str, order: str, code: int, words: str
) -> None:
    engine.create(name, at_start=order)

    task = engine.wait_state(name, "FAILED")

    assert task["exit_code"] == code
    assert task["restarts_total"] == 0
    status = engine.ask(f"/connectors/{name}/status").body["tasks"][0]
    assert status["state"] == "FAILED"
    lines = status["trace"].splitlines()
    assert lines[0] == words
    assert any("misbehaving.py" in line for line in lines)
    assert "; not restarted: the cause is permanent" in lines[1]


def test_f04_words_in_any_language_and_length_reach_the_status(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name, at_start="raise_long")

    task = engine.wait_state(name, "FAILED")

    assert task["exit_code"] == 78
    assert task["trace"].startswith("ConfigError: 日本語")


def test_f04_an_exception_that_nobody_expected_is_shown_and_retried(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name)
    task = engine.wait_state(name, "RUNNING")

    engine.order(f"{name}-0", "raise ValueError odd value")

    after = engine.wait_anew(name, task)
    assert after["reason"] == "ValueError: odd value (exit code 70)"
    assert after["restarts"] == {"crash": 1}


def test_f05_the_exit_code_decides(engine: SupervisedEngine, name: str) -> None:
    engine.create(name)
    task = engine.wait_state(name, "RUNNING")

    engine.order(f"{name}-0", "exit 75")
    task = engine.wait_anew(name, task)
    assert task["restarts"] == {"transient": 1}
    engine.order(f"{name}-0", "exit 78")

    assert engine.wait_state(name, "FAILED")["restarts"] == {"transient": 1}


def test_f05_exits_that_are_named_go_before_what_they_mean(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(
        name, engine_restart_force_exit_status="77-78", engine_restart_prevent_exit_status="9,SEGV"
    )
    task = engine.wait_state(name, "RUNNING")

    engine.order(f"{name}-0", "exit 78")
    task = engine.wait_anew(name, task)
    assert task["restarts"] == {"config": 1}
    engine.order(f"{name}-0", f"kill {signal.SIGSEGV.value}")

    assert engine.wait_state(name, "FAILED")["trace"].endswith(
        "not restarted: engine.restart.prevent.exit.status names SIGSEGV"
    )


def test_f04_a_plugin_that_is_gone_is_not_tried_again(
    own_engine: Callable[..., SupervisedEngine], tmp_path: Path
) -> None:
    code = (PLUGINS / "misbehaving.py").read_text()
    plugin = tmp_path / "short_lived.py"
    plugin.write_text(code)
    engine = own_engine()
    engine.start(env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"})
    engine.wait_ready()
    engine.create("gone", **{"connector.class": "short_lived.MisbehavingConnector"})
    task = engine.wait_state("gone", "RUNNING")
    plugin.unlink()

    kill(task["pid"])

    after = engine.wait_state("gone", "FAILED")
    assert after["exit_code"] == 69
    assert after["trace"].startswith("MissingPluginError: Failed to find any class")
    assert after["trace"].endswith("not restarted: the cause is permanent (missing_plugin)")
    assert engine.stop() == 0


def test_a_signal_from_outside_that_a_task_obeys_is_told_and_answered(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name)
    task = engine.wait_state(name, "RUNNING")

    kill(task["pid"], signal.SIGTERM)

    after = engine.wait_anew(name, task)
    assert (after["restarts"], after["exit_code"]) == ({"killed": 1}, 143)


def test_f06_a_task_that_dies_before_it_is_ready_is_no_mystery(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name, at_start="exit 3", engine_restart_max=2)

    task = engine.wait_state(name, "FAILED")

    assert (task["exit_code"], task["restarts"]) == (3, {"crash": 2})
    assert task["pid"] is None
    assert task["trace"].startswith("TaskDied: exit code 3")


def test_f06_a_task_that_is_killed_while_it_is_made_is_made_again(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name, at_start="wait 1")
    task = wait_for(lambda: (found := engine.task(name))["pid"] and found)
    assert task["condition"] == "STARTING"

    kill(task["pid"])

    assert engine.wait_anew(name, task)["restarts"] == {"killed": 1}


def test_f07_a_task_that_never_becomes_ready_is_ended_and_counted(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name, at_start="wait 3600", engine_start_timeout_ms=500, engine_restart_max=1)

    task = engine.wait_state(name, "FAILED")

    assert task["restarts"] == {"start_timeout": 1}
    assert re.search(r"not RUNNING 0[.]5\d* s after its start", task["reason"])


def test_f10_a_stranger_that_ends_is_reaped_and_stops_nobody(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name)
    task = engine.wait_state(name, "RUNNING")
    pid_file = engine.directory / f"{name}.pid"
    engine.order(f"{name}-0", f"program {pid_file}")
    stranger = pid_in(pid_file)
    wait_for(lambda: stranger in children_of(engine.process.pid))

    kill(stranger)

    wait_for(lambda: not os.path.exists(f"/proc/{stranger}"))
    engine.order(f"{name}-0", "orphan 3")  # a status that means something to some supervisors
    wait_for(lambda: engine.is_taken(f"{name}-0"))
    engine.order(f"{name}-0", "print another order")
    wait_for(lambda: engine.is_taken(f"{name}-0"))
    wait_for(lambda: engine.task_processes()[f"{name}-0"] == [task["pid"]])  # the orphan has ended
    assert engine.task(name)["pid"] == task["pid"]
    assert engine.process.poll() is None


@pytest.mark.timeout(180)
def test_f08_two_hundred_tasks_that_die_at_once_all_come_back(engine: SupervisedEngine) -> None:
    engine.create("many", tasks_max=200, poll_ms=900)

    def all_running(kills: int) -> list[int]:
        """By their restarts, not by their pids: where there are few pids, old ones come again."""
        tasks = [t for t in engine.tasks("many") if t["condition"] == "RUNNING"]
        fine = [t for t in tasks if t["restarts"].get("killed", 0) == kills]
        return [t["pid"] for t in fine] if len(fine) == 200 else []

    first = wait_for(lambda: all_running(0), 90, every=0.3)
    assert len(set(first)) == 200

    for pid in first:
        kill(pid)

    second = wait_for(lambda: all_running(1), 90, every=0.3)
    assert len(set(second)) == 200
    assert all(is_alive(pid) for pid in second)
