"""C. Races with the operator, whose word wins."""

import concurrent.futures
import signal
from collections.abc import Callable

import pytest

from tests.system.faults.supervised import SupervisedEngine, is_alive, kill
from tests.system.running_engine import properties, wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def test_f20_a_stop_in_back_off_is_final(engine: SupervisedEngine, name: str) -> None:
    engine.create(name, at_start="exit 3", engine_restart_delay_ms=500, engine_restart_jitter=0)
    engine.wait_state(name, "BACKOFF")

    engine.put(f"/connectors/{name}/stop")

    wait_for(lambda: engine.tasks(name) == [])
    # a task of another connector lives through several times that delay
    engine.create(f"{name}-clock", at_start="exit 3", engine_restart_delay_ms=500)
    wait_for(lambda: engine.task(f"{name}-clock")["restarts_total"] >= 3)
    assert engine.tasks(name) == []
    assert f"{name}-0" not in engine.task_processes()


def test_f21_a_stop_of_a_task_that_is_being_made_leaves_nothing(
    engine: SupervisedEngine, name: str
) -> None:
    for number in range(3):
        engine.create(name, at_start="wait 3600", tasks_max=number + 1)
        engine.put(f"/connectors/{name}/stop")
        wait_for(lambda: engine.tasks(name) == [])
        assert not [task for task in engine.task_processes() if task.startswith(name)]
        engine.delete(name)


def test_f21_a_stop_while_the_zygote_is_dead_does_not_wait_for_it(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name)
    task = engine.wait_state(name, "RUNNING")
    zygote = engine.pid_of("engine: zygote")
    assert zygote is not None
    kill(zygote)
    kill(task["pid"])

    engine.put(f"/connectors/{name}/stop")

    wait_for(lambda: engine.tasks(name) == [], 10)


def test_f22_fifty_restarts_at_once_end_in_one_process(engine: SupervisedEngine, name: str) -> None:
    engine.create(name)
    task = engine.wait_state(name, "RUNNING")
    path = f"/connectors/{name}/tasks/0/restart"

    with concurrent.futures.ThreadPoolExecutor(10) as clients:
        answers = list(clients.map(lambda _: engine.ask(path, "POST").status, range(50)))

    assert set(answers) == {204}
    after = engine.wait_anew(name, task)
    assert set(after["restarts"]) == {"operator"}
    wait_for(lambda: engine.task_processes()[f"{name}-0"] == [engine.task(name)["pid"]])


def test_f23_a_task_that_ends_by_itself_while_it_is_stopped_is_stopped(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name, at_stop="exit 3", tasks_max=4)
    for number in range(4):
        engine.wait_state(name, "RUNNING", number)

    for number in range(4):
        engine.order(f"{name}-{number}", "exit 4")
    engine.put(f"/connectors/{name}/stop")

    wait_for(lambda: engine.tasks(name) == [])
    reasons = [
        line["reason"]
        for line in engine.log()
        if line.get("connector") == name and line["event"] == "task process ended"
    ]
    assert len(reasons) >= 4
    assert all("exit code" in reason for reason in reasons)
    assert engine.ask(f"/connectors/{name}/status").body["connector"]["state"] == "STOPPED"


def test_f24_a_start_waits_for_the_death_of_the_old_process(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name)
    old = engine.wait_state(name, "RUNNING")
    engine.order(f"{name}-0", "ignore_sigterm")
    wait_for(lambda: engine.is_taken(f"{name}-0"))

    def is_new_one_alone() -> bool:
        pids = engine.task_processes().get(f"{name}-0", [])
        assert len(pids) <= 1
        return pids not in ([], [old["pid"]])

    with concurrent.futures.ThreadPoolExecutor(2) as clients:
        stopped = clients.submit(engine.put, f"/connectors/{name}/stop")
        wait_for(lambda: engine.task(name)["condition"] == "STOPPING")
        started = clients.submit(engine.put, f"/connectors/{name}/resume")
        wait_for(is_new_one_alone)
        assert not is_alive(old["pid"])
        stopped.result()
        started.result()
    assert engine.wait_state(name, "RUNNING")["pid"] != old["pid"]


def test_f28_of_files_that_are_read_again_the_one_that_is_wrong_changes_nothing(
    own_engine: Callable[..., SupervisedEngine],
) -> None:
    engine = own_engine(connectors={"wrong": {}, "right": {}})
    engine.start()
    engine.wait_ready()
    wrong = engine.wait_state("wrong", "RUNNING")
    engine.wait_state("right", "RUNNING")
    before = engine.ask("/connectors/wrong/config").body
    for name, count in (("wrong", "many"), ("right", 2)):
        config = {"name": name, **engine.config(tasks_max=count)}
        (engine.directory / f"{name}.properties").write_text(properties(config))

    engine.process.send_signal(signal.SIGHUP)

    engine.wait_state("right", "RUNNING", 1)
    told = wait_for(lambda: [e for e in engine.log() if "tasks.max" in str(e)])
    assert "many" in str(told[-1])
    assert engine.task("wrong")["pid"] == wrong["pid"]
    assert engine.ask("/connectors/wrong/config").body == before
    # and so it is with one that comes over REST
    config = {key: str(value) for key, value in engine.config(tasks_max="many").items()}
    answer = engine.ask("/connectors/wrong/config", "PUT", config)
    assert (answer.status, "tasks.max" in answer.body["message"]) == (400, True)
    assert engine.task("wrong")["pid"] == wrong["pid"]


def test_f29_a_paused_task_that_dies_comes_back_paused(engine: SupervisedEngine, name: str) -> None:
    engine.create(name)
    engine.wait_state(name, "RUNNING")
    engine.put(f"/connectors/{name}/pause")
    task = engine.wait_state(name, "PAUSED")

    kill(task["pid"])

    wait_for(lambda: engine.task(name)["restarts_total"] == 1)
    after = engine.wait_state(name, "PAUSED")
    assert after["generation"] > task["generation"]
