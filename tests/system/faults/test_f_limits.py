"""F. Resources: memory, processes, descriptors and CPU of a task, by whatever limits them here."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.system.facility import lacks
from tests.system.faults.supervised import SupervisedEngine, is_alive
from tests.system.running_engine import wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

MIB = 1 << 20


def needs_group(task: dict[str, Any], limit: str) -> None:
    """Go on only where a control group sees to this limit."""
    who = task["limits"]["seen_to_by"][limit]
    if who != "control group":
        lacks(f"a control group for {limit}", f"{who} sees to it")


def death_of(engine: SupervisedEngine, name: str) -> dict[str, Any]:
    """The record of a task's last end."""
    found: dict[str, Any] = engine.ask(f"/engine/tasks/{name}/0/explain").body["death"]
    return found


def groups_of(pid: int) -> list[Path]:
    """The directories of a process's own groups."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    found = []
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, place = line.split(":", 2)
        for _source, point, kind, options, *_ in mounts:
            is_it = kind == "cgroup" and names in options.split(",") if names else kind == "cgroup2"
            if is_it and "task-" in place:
                found.append(Path(point + place))
    return found


def test_f52_a_task_that_needs_more_memory_than_it_may_is_ended_alone_and_explained(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(f"{name}-beside")
    beside = engine.wait_state(f"{name}-beside", "RUNNING")
    engine.create(name, engine_limit_memory_hard_bytes=64 * MIB)
    task = engine.wait_state(name, "RUNNING")
    needs_group(task, "memory_hard")

    engine.order(f"{name}-0", "hoard 300")

    after = engine.wait_anew(name, task)
    assert after["restarts"] == {"out_of_memory": 1}
    assert after["reason"] == "out of memory: killed by SIGKILL"
    death = death_of(engine, name)
    assert (death["out_of_memory"], death["signal"]) == (True, 9)
    assert engine.task(f"{name}-beside")["pid"] == beside["pid"]


def test_f52_memory_is_looked_after_where_there_are_no_groups(
    own_engine: Callable[..., SupervisedEngine],
) -> None:
    engine = own_engine(
        connectors={"big": {"engine_limit_memory_hard_bytes": 96 * MIB}},
        worker={"engine.cgroups": "off"},
    )
    engine.start()
    engine.wait_ready()
    task = engine.wait_state("big", "RUNNING")
    assert task["limits"]["seen_to_by"] == {"memory_hard": "sampling"}

    engine.order("big-0", "hoard 150")

    after = engine.wait_anew("big", task)
    assert after["restarts"] == {"out_of_memory": 1}
    assert after["reason"].endswith(f" bytes of {96 * MIB} (killed by SIGKILL)")
    # much more at once than a look now and then would notice in time
    engine.order("big-0", "hoard 4000")
    again = engine.wait_anew("big", after)
    assert again["restarts"] == {"out_of_memory": 2}
    assert death_of(engine, "big")["out_of_memory"] is True
    assert engine.stop() == 0


def test_f53_a_task_that_has_grown_gets_a_fresh_process_in_good_order(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(
        name, engine_limit_memory_soft_bytes=64 * MIB, engine_limit_memory_soft_interval_ms=0
    )
    task = engine.wait_state(name, "RUNNING")

    engine.order(f"{name}-0", "hoard 100")

    after = engine.wait_anew(name, task)
    assert (after["restarts"], after["exit_code"]) == ({"soft_memory": 1}, 0)
    assert after["reason"].startswith("restarted for its memory, it used ")
    assert after["memory_headroom_bytes"] is None or after["memory_headroom_bytes"] > 0
    lines = [line for line in engine.log() if line.get("connector") == name]
    assert "task will get a fresh process" in [line["event"] for line in lines]
    assert not [line for line in lines if line["event"] == "task will be restarted"]


@pytest.mark.slow
def test_f53_fresh_processes_do_not_follow_each_other_at_once(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name, engine_limit_memory_soft_bytes=64 * MIB, at_start="hoard 100")
    engine.create(f"{name}-clock", at_start="exit 3", engine_restart_delay_ms=1000)
    task = engine.wait_state(name, "RUNNING")

    wait_for(lambda: engine.task(f"{name}-clock")["restarts_total"] >= 3)

    assert engine.task(name)["pid"] == task["pid"]


def test_f54_a_fork_bomb_fills_its_own_group_alone(engine: SupervisedEngine, name: str) -> None:
    engine.create(name, engine_limit_processes=48)
    task = engine.wait_state(name, "RUNNING")
    needs_group(task, "processes")
    groups = groups_of(task["pid"])

    engine.order(f"{name}-0", "bomb 1000")

    after = engine.wait_anew(name, task)
    assert after["reason"].startswith("BlockingIOError: [Errno 11] Resource temporarily unavail")
    left = {int(p) for g in groups for p in (g / "cgroup.procs").read_text().split()}
    assert left <= {after["pid"]}
    engine.create(f"{name}-other")
    engine.wait_state(f"{name}-other", "RUNNING")


def test_a_task_has_no_more_descriptors_than_it_may(engine: SupervisedEngine, name: str) -> None:
    engine.create(name, engine_limit_open_files=128)
    task = engine.wait_state(name, "RUNNING")

    engine.order(f"{name}-0", "open 200")

    after = engine.wait_anew(name, task)
    assert after["reason"].startswith("OSError: [Errno 24] Too many open files")


def test_a_task_gets_no_more_cpu_than_it_may(engine: SupervisedEngine, name: str) -> None:
    engine.create(name, engine_limit_cpu_quota=0.05, engine_limit_nice=1)
    task = engine.wait_state(name, "RUNNING")
    needs_group(task, "cpu_quota")

    engine.order(f"{name}-0", "burn 4")

    def throttled() -> int:
        for group in groups_of(task["pid"]):
            if (group / "cpu.stat").exists():
                lines = (line.split() for line in (group / "cpu.stat").read_text().splitlines())
                return int(dict(lines).get("nr_throttled", "0"))
        return 0

    wait_for(throttled)
    assert Path(f"/proc/{task['pid']}/stat").read_text().rpartition(")")[2].split()[16] == "1"


def test_nothing_is_left_of_groups_and_everything_is_shown(
    own_engine: Callable[..., SupervisedEngine],
) -> None:
    engine = own_engine(
        connectors={
            "bound": {
                "engine_limit_memory_hard_bytes": 64 * MIB, "engine_limit_processes": 64,
                "engine_limit_open_files": 256, "engine_limit_io_weight": 50,
            }
        }
    )  # fmt: skip
    engine.start()
    engine.wait_ready()
    task = engine.wait_state("bound", "RUNNING")
    needs_group(task, "memory_hard")
    groups = groups_of(task["pid"])
    assert groups
    wait_for(lambda: engine.task("bound")["memory_headroom_bytes"])

    url = f"http://127.0.0.1:{engine.port}"
    ctl = [sys.executable, "-m", "engine", "ctl", "--url", url, "describe", "bound"]
    shown = subprocess.run(ctl, capture_output=True, text=True, check=False).stdout

    assert "limit memory hard = 64.0 MiB (by control group)" in shown
    assert "limit processes = 64 (by control group)" in shown
    assert "limit open files = 256 (by process)" in shown
    assert " MiB used, " in shown
    metric = f'engine_task_memory_limit_bytes{{connector="bound",task="0"}} {64 * MIB}'
    assert metric in engine.ask("/metrics").body.replace("6.7108864e+07", str(64 * MIB))
    assert engine.stop() == 0
    assert not is_alive(task["pid"])
    assert [group for group in groups if group.exists() or group.parent.exists()] == []


def test_f51_limits_hold_over_an_upgrade(own_engine: Callable[..., SupervisedEngine]) -> None:
    engine = own_engine(connectors={"bound": {"engine_limit_memory_hard_bytes": 64 * MIB}})
    engine.start()
    engine.wait_ready()
    task = engine.wait_state("bound", "RUNNING")
    needs_group(task, "memory_hard")
    groups = groups_of(task["pid"])
    assert engine.ask("/engine/upgrade", "POST").status == 202
    wait_for(lambda: engine.ask("/engine/worker").body["upgrade"]["upgrades"] == 1)
    assert engine.task("bound")["pid"] == task["pid"]

    engine.order("bound-0", "hoard 300")

    assert engine.wait_anew("bound", task)["restarts"] == {"out_of_memory": 1}
    assert engine.stop() == 0
    assert [group for group in groups if group.exists() or group.parent.exists()] == []
