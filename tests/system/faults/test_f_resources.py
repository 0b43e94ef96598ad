"""F. Resources: descriptors, processes."""

import re
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.system.faults.supervised import SupervisedEngine, kill, open_files
from tests.system.running_engine import wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def test_f56_the_usual_soft_limit_of_descriptors_does_not_bound_the_number_of_tasks(
    own_engine: Callable[..., SupervisedEngine],
) -> None:
    engine = own_engine(connectors={"many": {"tasks_max": 60, "poll_ms": 500}})
    engine.command = ["/bin/sh", "-c", 'ulimit -Sn 256; exec "$@"', "sh", *engine.command]
    engine.start()
    engine.wait_ready()

    def running() -> bool:
        return [t["condition"] for t in engine.tasks("many")] == ["RUNNING"] * 60

    wait_for(running, 60)
    assert len(open_files(engine.process.pid)) > 256
    engine.check_promises()
    assert engine.stop() == 0
    assert engine.survivors() == []


def test_f55_a_fork_that_is_refused_is_a_failed_start_and_tried_again(
    own_engine: Callable[..., SupervisedEngine], few_processes: Callable[[int], Path]
) -> None:
    engine = own_engine(connectors={"calm": {}}, worker={"engine.zygote.spares": 0})
    engine.start()
    engine.wait_ready()
    task = engine.wait_state("calm", "RUNNING")
    zygote = engine.pid_of("engine: zygote")
    assert zygote is not None
    group = few_processes(zygote)
    kill(task["pid"])

    def failed() -> dict[str, Any] | None:
        now = engine.task("calm")
        return now if now["restarts"].get("start_failed") else None

    words = (wait_for(failed) or {})["reason"]
    assert words.startswith("ProcessNotMade: ")
    (group / "pids.max").write_text("max")

    after = engine.wait_anew("calm", task)
    assert after["restarts"]["killed"] == 1
    engine.check_promises()
    assert engine.stop() == 0


def test_f56_a_supervisor_without_descriptors_keeps_what_runs_and_says_what_it_lacks(
    own_engine: Callable[..., SupervisedEngine],
) -> None:
    engine = own_engine(connectors={"calm": {}}, worker={"engine.zygote.spares": 0})
    engine.start()
    engine.wait_ready()
    calm = engine.wait_state("calm", "RUNNING")
    pid = engine.process.pid
    usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    few = len(open_files(pid)) + 60
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (few, usual[1]))

    engine.create("many", tasks_max=20)

    told = wait_for(lambda: engine.ask("/engine/worker").body["problems"])
    assert re.fullmatch(rf"\d+ tasks wait: the supervisor may open {few} files .*", told[0])
    running = [t for t in engine.tasks("many") if t["condition"] == "RUNNING"]
    assert 0 < len(running) < 20
    kill(calm["pid"])
    calm = engine.wait_anew("calm", calm)
    assert engine.ask("/connectors/many/status").status == 200
    assert engine.ask("/metrics").status == 200
    resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
    wait_for(lambda: [t["condition"] for t in engine.tasks("many")] == ["RUNNING"] * 20)
    assert engine.task("calm")["pid"] == calm["pid"]
