"""B. Storms and counters, short and real; hours of them are simulated in the unit tests."""

import pytest

from tests.system.faults.supervised import SupervisedEngine
from tests.system.running_engine import wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def test_f11_a_task_that_dies_at_once_is_started_a_few_times_with_growing_delays_and_given_up(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(
        name, at_start="exit 3", engine_restart_max=4, engine_restart_delay_ms=100,
        engine_restart_delay_max_ms=400, engine_restart_jitter=0,
    )  # fmt: skip

    task = engine.wait_state(name, "FAILED")

    assert task["restarts"] == {"crash": 4}
    assert task["trace"].splitlines()[-1] == "not restarted again: restarted 4 times within 600 s"
    delays = [
        line["seconds"]
        for line in engine.log()
        if line.get("connector") == name and line["event"] == "task will be restarted"
    ]
    assert delays == pytest.approx([0.1, 0.2, 0.4, 0.4], abs=0.02)


def test_f11_a_task_in_back_off_says_when_it_comes_back(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(
        name, at_start="exit 3", engine_restart_delay_ms=60000, engine_restart_delay_max_ms=60000
    )

    task = engine.wait_state(name, "BACKOFF")

    assert 40 < task["retry_in_seconds"] <= 75
    assert task["pid"] is None
    status = engine.ask(f"/connectors/{name}/status").body["tasks"][0]
    assert status["state"] == "RESTARTING"


def test_f13_after_healthy_time_with_progress_the_delay_is_the_first_one_again(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(
        name, progresses="yes", engine_restart_reset_after_ms=1, engine_restart_jitter=0,
        engine_restart_delay_ms=100, engine_restart_delay_max_ms=30000,
    )  # fmt: skip
    task = engine.wait_state(name, "RUNNING")
    for _ in range(5):
        wait_for(lambda: (engine.task(name)["uptime_seconds"] or 0) > 0.05)
        engine.order(f"{name}-0", "exit 3")
        task = engine.wait_anew(name, task)

    delays = [
        line["seconds"]
        for line in engine.log()
        if line.get("connector") == name and line["event"] == "task will be restarted"
    ]
    assert delays == pytest.approx([0.1] * 5, abs=0.02)


def test_f16_a_task_at_its_limit_stays_failed_until_an_operator_restarts_it(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name, at_start="exit 3", engine_restart_max=2, engine_restart_delay_ms=20)
    first = engine.wait_state(name, "FAILED")
    metric = f'engine_task_state{{connector="{name}",state="FAILED",task="0"}} 1.0'
    assert metric in engine.ask("/metrics").body

    engine.create(name, at_start="exit 3", engine_restart_max=2, engine_restart_delay_ms=20)
    assert engine.task(name)["generation"] == first["generation"]
    assert engine.ask(f"/connectors/{name}/tasks/0/restart", "POST").status == 204

    again = wait_for(
        lambda: (
            (task := engine.task(name))["generation"] >= first["generation"] + 3
            and task["condition"] == "FAILED"
            and task
        )
    )
    assert again
    assert again["restarts"] == {"crash": 4, "operator": 1}


def _restart_often(engine: SupervisedEngine, name: str, times: int) -> None:
    engine.create(name, poll_ms=5, engine_restart_delay_ms=0, engine_restart_max=100_000)
    task = engine.wait_state(name, "RUNNING")
    for _ in range(3):  # what grows once, such as a first log file, has grown
        engine.order(f"{name}-0", "exit 3")
        task = engine.wait_anew(name, task)
    before = engine.footprint()
    for number in range(times):
        engine.order(f"{name}-0", "exit 3" if number % 2 else "kill 9")
        task = engine.wait_anew(name, task)

    after = engine.footprint()
    before["series"] += 1 if "killed" in task["restarts"] else 0
    assert {key: after[key] - before[key] for key in after if after[key] > before[key]} in (
        {},
        {"descriptors": 1},
    )
    assert task["restarts_total"] == times + 3


@pytest.mark.timeout(120)
def test_f57_fifty_restarts_leave_nothing_behind(engine: SupervisedEngine, name: str) -> None:
    _restart_often(engine, name, 50)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_f57_a_thousand_restarts_leave_nothing_behind(engine: SupervisedEngine, name: str) -> None:
    _restart_often(engine, name, 1000)
