"""E. The supervisor and the herder: killed, doubled, stopped; what the supervisor is made of."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.faults.supervised import (
    PLUGINS,
    SupervisedEngine,
    children_of,
    is_alive,
    kill,
    memory_map,
    open_files,
    pid_in,
)
from tests.system.running_engine import wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

MakeEngine = Callable[..., SupervisedEngine]


def test_f40_nothing_outlives_a_killed_supervisor_and_the_next_one_takes_over(
    own_engine: MakeEngine,
) -> None:
    engine = own_engine(
        connectors={"calm": {"tasks_max": 3}, "deaf": {}, "stuck": {}},
        worker={"task.shutdown.graceful.timeout.ms": 1000, "engine.heartbeat.timeout.ms": 60000},
    )
    engine.start()
    engine.wait_ready()
    calm = [engine.wait_state("calm", "RUNNING", number) for number in range(3)]
    deaf, stuck = engine.wait_state("deaf", "RUNNING"), engine.wait_state("stuck", "RUNNING")
    engine.order("deaf-0", "wait 3600")
    engine.order("stuck-0", "gil_deaf 6")
    wait_for(lambda: engine.is_taken("deaf-0") and engine.is_taken("stuck-0"))

    engine.kill()

    wait_for(lambda: not any(is_alive(task["pid"]) for task in calm), 5)
    wait_for(lambda: not is_alive(deaf["pid"]), 5)  # its alarm ends it
    engine.start()
    engine.wait_ready()
    for number in range(3):
        assert engine.wait_state("calm", "RUNNING", number)["generation"] >> 32 == 2
    assert engine.wait_state("stuck", "RUNNING")["pid"] != stuck["pid"]
    assert not is_alive(stuck["pid"])
    engine.wait_state("deaf", "RUNNING")
    engine.check_promises()
    assert engine.stop() == 0
    assert engine.survivors() == []


def test_f41_a_supervisor_that_dies_while_tasks_are_made_leaves_none(
    own_engine: MakeEngine,
) -> None:
    engine = own_engine(connectors={"many": {"tasks_max": 12}})
    for _ in range(3):
        engine.start()
        wait_for(lambda: engine.process.poll() is None and engine.task_processes())
        engine.kill()
        wait_for(lambda: engine.survivors() == [], 15)


def test_a_killed_herder_comes_back_and_tasks_do_not_notice(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name, tasks_max=2)
    before = [engine.wait_state(name, "RUNNING", number) for number in range(2)]
    herder = engine.pid_of("engine: herder")
    assert herder is not None

    kill(herder)

    wait_for(lambda: engine.pid_of("engine: herder") not in (None, herder))
    wait_for(lambda: engine.ask("/health").status == 200)
    after = [engine.wait_state(name, "RUNNING", number) for number in range(2)]
    assert [task["pid"] for task in after] == [task["pid"] for task in before]
    assert [task["restarts_total"] for task in after] == [0, 0]
    assert engine.ask(f"/connectors/{name}/status").status == 200


def test_a_task_that_dies_while_there_is_no_herder_is_restarted_all_the_same(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name)
    task = engine.wait_state(name, "RUNNING")
    herder = engine.pid_of("engine: herder")
    assert herder is not None
    kill(herder, signal.SIGSTOP)

    kill(task["pid"])
    wait_for(lambda: engine.task_processes().get(f"{name}-0") not in (None, [task["pid"]]))
    kill(herder)

    after = engine.wait_anew(name, task)
    assert after["restarts"] == {"killed": 1}


def test_the_supervisor_has_one_thread_and_never_loads_what_it_must_not_run(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name)
    task = engine.wait_state(name, "RUNNING")

    mapped = memory_map(engine.process.pid)

    assert os.listdir(f"/proc/{engine.process.pid}/task") == [str(engine.process.pid)]
    assert "rdkafka" in memory_map(task["pid"])
    for foreign in ("rdkafka", "aiohttp", "sqlite", "misbehaving"):
        assert foreign not in mapped


def test_what_left_every_mark_behind_ends_with_the_service(own_engine: MakeEngine) -> None:
    engine = own_engine(connectors={"odd": {}})
    engine.start()
    engine.wait_ready()
    engine.wait_state("odd", "RUNNING")
    pid_file = engine.directory / "nameless.pid"
    engine.order("odd-0", f"nameless {pid_file}")
    nameless = pid_in(pid_file)
    assert is_alive(nameless)

    assert engine.stop() == 0

    assert not is_alive(nameless)
    assert engine.survivors() == []


def test_f26_a_second_sigterm_ends_everything_at_once(own_engine: MakeEngine) -> None:
    engine = own_engine(
        connectors={"deaf": {}}, worker={"task.shutdown.graceful.timeout.ms": 60000}
    )
    engine.start()
    engine.wait_ready()
    engine.wait_state("deaf", "RUNNING")
    engine.order("deaf-0", "ignore_sigterm")
    wait_for(lambda: engine.is_taken("deaf-0"))

    engine.process.send_signal(signal.SIGTERM)
    wait_for(lambda: "stopping" in engine.texts())
    engine.process.send_signal(signal.SIGINT)

    assert engine.wait_end(15) == 0
    assert engine.survivors() == []


def test_a_service_that_is_to_outlive_its_terminal_does(own_engine: MakeEngine) -> None:
    engine = own_engine()
    engine.command = ["/usr/bin/env", "--ignore-signal=HUP", *engine.command]
    engine.start()
    engine.wait_ready()

    engine.process.send_signal(signal.SIGHUP)

    assert engine.ask("/engine/worker").status == 200
    assert engine.stop() == 0
    assert "stopping at once" not in engine.texts()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_f27_a_signal_at_any_moment_of_the_start_leaves_nothing(
    own_engine: MakeEngine, number: signal.Signals
) -> None:
    engine = own_engine(connectors={"calm": {"tasks_max": 2}})
    for hundredths in range(2, 80, 7):
        engine.start()
        threading.Event().wait(hundredths / 100)
        engine.process.send_signal(number)
        engine.wait_end(15)
        wait_for(lambda: engine.survivors() == [], 10)


def test_f43_a_supervisor_that_was_stopped_itself_kills_nobody(own_engine: MakeEngine) -> None:
    engine = own_engine(
        connectors={"calm": {"tasks_max": 2}}, worker={"engine.heartbeat.timeout.ms": 1000}
    )
    engine.start()
    engine.wait_ready()
    before = [engine.wait_state("calm", "RUNNING", number)["pid"] for number in range(2)]
    others = [pid for pid in (engine.process.pid, *before) if pid]

    for pid in others:
        kill(pid, signal.SIGSTOP)
    slept = subprocess.run(["sleep", "4"], check=True)
    assert slept.returncode == 0
    for pid in others:
        kill(pid, signal.SIGCONT)

    wait_for(lambda: "the supervisor itself was stopped" in engine.texts())
    wait_for(lambda: (engine.task("calm")["heartbeat_age_seconds"] or 9) < 1)
    assert [engine.task("calm", number)["pid"] for number in range(2)] == before
    assert engine.stop() == 0


def test_f09_an_inherited_ignored_sigchld_changes_nothing(own_engine: MakeEngine) -> None:
    engine = own_engine(connectors={"calm": {}})
    engine.command = [
        "/bin/sh", "-c", 'trap "" CHLD; exec "$@"', "sh", *engine.command,
    ]  # fmt: skip
    engine.start()
    engine.wait_ready()
    task = engine.wait_state("calm", "RUNNING")
    kill(task["pid"])
    assert engine.wait_anew("calm", task)["exit_code"] == -9
    assert engine.stop() == 0


def test_what_the_launcher_left_open_is_not_passed_on(own_engine: MakeEngine) -> None:
    """Somebody's lock must not be held by tasks for as long as they live."""
    engine = own_engine(connectors={"calm": {}})
    lock = engine.directory / "launcher.lock"
    fd = os.open(lock, os.O_RDWR | os.O_CREAT)
    os.set_inheritable(fd, True)
    engine.start(pass_fds=(fd,))
    os.close(fd)
    engine.wait_ready()
    engine.wait_state("calm", "RUNNING")

    for pid in children_of(engine.process.pid):
        assert str(lock) not in open_files(pid)
    assert engine.stop() == 0


def test_f42_a_thread_that_ends_takes_no_task_with_it(
    own_engine: MakeEngine, tmp_path: Path
) -> None:
    """The kernel tells a process of the death of the *thread* that forked it: only one ever may."""
    module = (
        "import threading\nthread = threading.Thread(target=int)\nthread.start()\nthread.join()\n"
    )
    (tmp_path / "brief.py").write_text(module)
    engine = own_engine(
        connectors={"calm": {"tasks_max": 2}}, worker={"engine.zygote.preload": "brief"}
    )
    engine.start(env={**os.environ, "PYTHONPATH": f"{PLUGINS}:{tmp_path}"})
    engine.wait_ready()
    tasks = [engine.wait_state("calm", "RUNNING", number) for number in range(2)]
    kill(tasks[0]["pid"])
    tasks[0] = engine.wait_anew("calm", tasks[0])

    for pid in (engine.process.pid, engine.pid_of("engine: zygote")):
        assert os.listdir(f"/proc/{pid}/task") == [str(pid)]
    assert "brief.py" not in str(engine.log())  # it was imported
    assert engine.task("calm", 1)["pid"] == tasks[1]["pid"]
    engine.kill()  # the thread that counts is its only one
    wait_for(lambda: not any(is_alive(task["pid"]) for task in tasks))


@pytest.mark.parametrize("module", ["raise OSError('no such device')", "import os; os._exit(3)"])
def test_f68_a_preload_that_does_not_work_is_left_out(
    own_engine: MakeEngine, tmp_path: Path, module: str
) -> None:
    (tmp_path / "broken.py").write_text(module)
    engine = own_engine(connectors={"calm": {}}, worker={"engine.zygote.preload": "broken"})
    engine.start(env={**os.environ, "PYTHONPATH": f"{PLUGINS}:{tmp_path}"})
    engine.wait_ready()

    engine.wait_state("calm", "RUNNING")

    warnings = [str(line) for line in engine.log() if line["level"] == "warning"]
    assert any("broken" in each and "without" in each for each in warnings), warnings


def test_f69_a_preload_that_starts_a_thread_is_refused_and_tasks_run_without_it(
    own_engine: MakeEngine, tmp_path: Path
) -> None:
    module = (
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()"
    )
    (tmp_path / "eager.py").write_text(module)
    engine = own_engine(connectors={"calm": {}}, worker={"engine.zygote.preload": "eager"})
    engine.start(env={**os.environ, "PYTHONPATH": f"{PLUGINS}:{tmp_path}"})
    engine.wait_ready()
    engine.wait_state("calm", "RUNNING")

    refusals = [line.get("reason", "") for line in engine.log() if line["level"] == "warning"]
    assert any(reason.startswith("module eager started a thread") for reason in refusals)
    engine.check_promises()
    assert engine.stop() == 0


def test_f68_tasks_survive_their_zygote_and_new_ones_come_from_the_next(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name, tasks_max=2)
    before = [engine.wait_state(name, "RUNNING", number) for number in range(2)]
    zygote = engine.pid_of("engine: zygote")
    assert zygote is not None

    kill(zygote)
    kill(before[0]["pid"])

    after = engine.wait_anew(name, before[0])
    assert after["pid"] != before[0]["pid"]
    assert engine.task(name, 1)["pid"] == before[1]["pid"]
    wait_for(lambda: engine.pid_of("engine: zygote") not in (None, zygote))
    wait_for(lambda: engine.ask("/engine/worker").body["zygote_restarts"] >= 1)


def test_f68_a_zygote_that_hangs_is_replaced_and_the_request_is_kept(
    own_engine: MakeEngine,
) -> None:
    engine = own_engine(connectors={"calm": {}}, worker={"engine.zygote.spares": "0"})
    engine.start()
    task = engine.wait_state("calm", "RUNNING")
    zygote = engine.pid_of("engine: zygote")
    assert zygote is not None
    kill(zygote, signal.SIGSTOP)

    kill(task["pid"])

    after = engine.wait_anew("calm", task)
    assert after["restarts"] == {"killed": 1}
    assert not is_alive(zygote)


def test_f68_a_task_comes_back_from_a_spare_while_the_zygote_hangs(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name)
    task = engine.wait_state(name, "RUNNING")
    zygote = engine.pid_of("engine: zygote")
    assert zygote is not None
    spare = wait_for(lambda: engine.pid_of("engine: spare"))
    kill(zygote, signal.SIGSTOP)

    kill(task["pid"])

    after = engine.wait_anew(name, task)
    assert after["pid"] == spare
    assert is_alive(zygote)
    kill(zygote, signal.SIGCONT)


def test_a_spare_that_ends_is_replaced_and_none_outlives_the_engine(
    own_engine: MakeEngine,
) -> None:
    engine = own_engine(connectors={"calm": {}}, worker={"engine.zygote.spares": "1"})
    engine.start()
    engine.wait_ready()
    first = wait_for(lambda: engine.pid_of("engine: spare"))

    kill(first)

    def another() -> int | None:
        found = engine.pid_of("engine: spare")
        return found if found != first else None

    second = wait_for(another)
    assert engine.stop() == 0
    assert not is_alive(second)
