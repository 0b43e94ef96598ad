"""F. Resources: descriptors, processes."""

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
