"""B. Storms and counters, short and real; hours of them are simulated in the unit tests."""

import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.faults.supervised import PLUGINS, SupervisedEngine, kill
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
    assert delays_of(engine, name) == pytest.approx([0.1, 0.2, 0.4, 0.4], abs=0.02)


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


def delays_of(engine: SupervisedEngine, name: str) -> list[float]:
    """How long the task waited before each of its restarts, by the log."""
    return [
        line["seconds"]
        for line in engine.log()
        if line.get("connector") == name and line["event"] == "task will be restarted"
    ]


def test_f12_a_task_that_dies_soon_after_its_start_waits_longer_each_time(
    engine: SupervisedEngine, name: str
) -> None:
    """It was RUNNING and has moved records: only time is wanting for it to be healthy."""
    engine.create(
        name, progresses="yes", engine_restart_jitter=0, engine_restart_delay_ms=50,
        engine_restart_delay_max_ms=300,
    )  # fmt: skip
    task = engine.wait_state(name, "RUNNING")
    for _ in range(5):
        wait_for(lambda: (engine.task(name)["uptime_seconds"] or 0) > 0.2)
        engine.order(f"{name}-0", "exit 3")
        task = engine.wait_anew(name, task)

    assert delays_of(engine, name) == pytest.approx([0.05, 0.1, 0.2, 0.3, 0.3], abs=0.02)


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

    assert delays_of(engine, name) == pytest.approx([0.1] * 5, abs=0.02)


def test_f16_a_task_at_its_limit_stays_failed_until_an_operator_restarts_it(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name, at_start="exit 3", engine_restart_max=2, engine_restart_delay_ms=20)
    first = engine.wait_state(name, "FAILED")
    metric = f'engine_task_state{{connector="{name}",state="FAILED",task="0"}} 1.0'
    assert metric in engine.ask("/metrics").body
    failed = f'engine_task_failed{{connector="{name}",reason="restart_limit",task="0"}} 1.0'
    assert failed in engine.ask("/metrics").body

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


def test_f17_a_fresh_process_for_its_memory_makes_up_for_no_crash(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(
        name, engine_restart_jitter=0, engine_restart_delay_ms=50, engine_restart_max=3,
        engine_restart_delay_max_ms=10_000, engine_limit_memory_soft_bytes=64 << 20,
        engine_limit_memory_soft_interval_ms=0,
    )  # fmt: skip
    task = engine.wait_state(name, "RUNNING")
    for _ in range(3):
        engine.order(f"{name}-0", "exit 3")
        task = engine.wait_anew(name, task)
        engine.order(f"{name}-0", "hoard 100")
        task = engine.wait_anew(name, task)

    assert task["restarts"] == {"crash": 3, "soft_memory": 3}
    assert delays_of(engine, name) == pytest.approx([0.05, 0.1, 0.2], abs=0.02)
    engine.order(f"{name}-0", "exit 3")
    assert engine.wait_state(name, "FAILED")["restarts"] == {"crash": 3, "soft_memory": 3}


def test_f19_a_python_that_is_gone_is_tried_a_few_times_and_again_when_it_is_back(
    own_engine: Callable[..., SupervisedEngine], tmp_path: Path
) -> None:
    """A virtual environment that is being made anew, say: neither zygote nor herder can start."""
    venv.create(tmp_path / "env", symlinks=True)
    python = tmp_path / "env" / "bin" / "python"
    site = next((tmp_path / "env" / "lib").glob("python*/site-packages"))
    (site / "engine.pth").write_text(f"{PLUGINS.parents[2]}\n{sysconfig.get_path('purelib')}\n")
    engine = own_engine(connectors={"calm": {}, "other": {}}, worker={"engine.zygote.spares": 0})
    engine.command[0] = str(python)
    engine.start()
    engine.wait_ready()
    task, other = engine.wait_state("calm", "RUNNING"), engine.wait_state("other", "RUNNING")
    away = python.rename(python.with_name("python.away"))

    zygote = engine.pid_of("engine: zygote")
    assert zygote is not None
    kill(zygote)
    kill(task["pid"])

    def refusals() -> list[str]:
        return [text for text in engine.texts() if text == "the zygote cannot be started"]

    wait_for(lambda: len(refusals()) >= 5)  # after 0, 0.1, 0.2, 0.4 and 0.8 s
    assert engine.ask("/engine/worker").body["zygote_restarts"] < 9
    assert engine.task("calm")["condition"] == "STARTING"
    assert engine.task("other")["pid"] == other["pid"]
    away.rename(python)
    assert engine.wait_anew("calm", task)["restarts"] == {"killed": 1}
    assert engine.task("other")["pid"] == other["pid"]


def _restart_often(engine: SupervisedEngine, name: str, times: int) -> None:
    engine.create(name, poll_ms=5, engine_restart_delay_ms=0, engine_restart_policy="always")
    task = engine.wait_state(name, "RUNNING")
    for _ in range(3):  # what grows once, such as a first log file, has grown
        engine.order(f"{name}-0", "exit 3")
        task = engine.wait_anew(name, task)
    wait_for(lambda: engine.task(name)["pss_bytes"])  # a sample is three series
    wait_for((engine.data_dir / "deaths" / f"{name}-0.json").exists)
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


def test_f15_tasks_that_die_together_come_back_one_after_the_other(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(
        name, tasks_max=12, poll_ms=200, engine_restart_delay_ms=0,
        engine_restart_budget_burst=4, engine_restart_budget_per_second=4,
    )  # fmt: skip
    tasks = [engine.wait_state(name, "RUNNING", number) for number in range(12)]

    for task in tasks:
        kill(task["pid"])

    waiting = wait_for(lambda: [t for t in engine.tasks(name) if t["condition"] == "BACKOFF"])
    assert {t["note"] for t in waiting} == {"waits for its turn: many tasks are being restarted"}
    assert max(t["retry_in_seconds"] for t in waiting) <= 2.01
    status = engine.ask(f"/connectors/{name}/status").body["tasks"][waiting[0]["id"]["task"]]
    assert status["state"] in ("RESTARTING", "RUNNING")
    for number, task in enumerate(tasks):
        assert engine.wait_anew(name, task, number)["restarts"] == {"killed": 1}


def test_f15_an_operator_waits_for_no_turn(engine: SupervisedEngine, name: str) -> None:
    engine.create(
        name, tasks_max=2, engine_restart_delay_ms=0,
        engine_restart_budget_burst=1, engine_restart_budget_per_second=0.001,
    )  # fmt: skip
    tasks = [engine.wait_state(name, "RUNNING", number) for number in range(2)]
    kill(tasks[0]["pid"])
    engine.wait_anew(name, tasks[0], 0)
    kill(tasks[1]["pid"])
    assert engine.wait_state(name, "BACKOFF", 1)["retry_in_seconds"] > 900

    assert engine.ask(f"/connectors/{name}/tasks/1/restart", "POST").status == 204

    assert engine.wait_anew(name, tasks[1], 1)["note"] is None


def test_f18_delays_and_counters_survive_a_killed_supervisor(
    own_engine: Callable[..., SupervisedEngine],
) -> None:
    slow = {"engine_restart_delay_ms": 600_000, "engine_restart_delay_max_ms": 600_000}
    engine = own_engine(
        connectors={
            "waits": {"at_start": "exit 3", **slow},
            "failed": {"at_start": "raise ConfigError no such table"},
            "calm": {},
        }
    )
    engine.start()
    engine.wait_ready()
    waits, failed = engine.wait_state("waits", "BACKOFF"), engine.wait_state("failed", "FAILED")
    calm = engine.wait_state("calm", "RUNNING")
    kill(calm["pid"])
    engine.wait_anew("calm", calm)

    engine.kill()
    engine.start()
    engine.wait_ready()

    after = engine.wait_state("waits", "BACKOFF")
    assert waits["retry_in_seconds"] - 60 < after["retry_in_seconds"] < waits["retry_in_seconds"]
    assert (after["restarts"], after["exit_code"]) == ({"crash": 1}, 3)
    again = engine.wait_state("failed", "FAILED")
    assert again["trace"] == failed["trace"]
    status = engine.ask("/connectors/failed/status").body["tasks"][0]
    assert (status["state"], status["trace"]) == ("FAILED", failed["trace"])
    assert engine.wait_state("calm", "RUNNING")["restarts"] == {"killed": 1}
    # the operator's word beats the timer that was remembered
    assert engine.ask("/connectors/waits/tasks/0/restart", "POST").status == 204
    wait_for(lambda: engine.task("waits")["restarts"] == {"crash": 2, "operator": 1})
    engine.check_promises()

    assert engine.stop() == 0
    engine.start()
    engine.wait_ready()

    assert engine.wait_state("waits", "BACKOFF")["retry_in_seconds"] < 750
    # stopped and started again by somebody: what had failed gets one more try
    wait_for(lambda: engine.task("failed")["condition"] == "FAILED")
    assert engine.task("failed")["generation"] >> 32 == 3
    assert engine.stop() == 0
    assert engine.survivors() == []
