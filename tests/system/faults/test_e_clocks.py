"""E. Clocks and process numbers: what is set, starts anew or comes again misleads nobody.

The wall clock is that of a library in front of the C library; clocks that begin with a machine's
start, its boot id and its process numbers are those of namespaces.
"""

import ast
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.system.facility import lacks
from tests.system.faults.clocks import WallClock, in_namespaces
from tests.system.faults.supervised import PLUGINS, SupervisedEngine, kill
from tests.system.running_engine import wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

MakeEngine = Callable[..., SupervisedEngine]
HOUR = 3600
SLOW = {"engine_restart_delay_ms": 600_000, "engine_restart_delay_max_ms": 600_000}


def logged_at(engine: SupervisedEngine, event: str) -> float:
    """Seconds since 1970, as the log says, of the last event of this name."""
    times = [line["timestamp"] for line in engine.log() if line["event"] == event]
    return datetime.fromisoformat(times[-1]).timestamp()


def now() -> float:
    """The true time, in seconds since 1970."""
    return datetime.now(UTC).timestamp()


def test_f44_a_wall_clock_that_is_set_changes_no_delay_and_no_deadline(
    own_engine: MakeEngine, tmp_path: Path
) -> None:
    clock = WallClock(tmp_path, {"PYTHONPATH": str(PLUGINS)})
    engine = own_engine(
        connectors={"calm": {}, "victim": {}, "waits": {"at_start": "exit 3", **SLOW}},
        worker={"engine.heartbeat.timeout.ms": 5000},
    )
    engine.start(env=clock.environment)
    engine.wait_ready()
    calm, victim = engine.wait_state("calm", "RUNNING"), engine.wait_state("victim", "RUNNING")
    waits = engine.wait_state("waits", "BACKOFF")
    for count, offset in enumerate((-HOUR, 24 * HOUR), 1):
        clock.set(offset)
        kill(victim["pid"])
        victim = engine.wait_anew("victim", victim)

        assert victim["restarts"] == {"killed": count}
        assert abs(logged_at(engine, "task process ended") - now() - offset) < 600
        assert engine.task("calm")["pid"] == calm["pid"]
        assert 0 <= engine.task("calm")["uptime_seconds"] < 600
        assert engine.task("calm")["heartbeat_age_seconds"] < 60
        after = engine.task("waits")
        assert (after["condition"], after["restarts"]) == ("BACKOFF", {"crash": 1})
        assert waits["retry_in_seconds"] - 300 < after["retry_in_seconds"]
        assert after["retry_in_seconds"] <= waits["retry_in_seconds"]
        waits = after


def test_f45_a_machine_that_says_it_started_at_another_time_still_has_the_same_processes(
    own_engine: MakeEngine, tmp_path: Path
) -> None:
    """A step of the wall clock moves ``btime``, and with it when every process was made."""
    stat = tmp_path / "stat"
    stat.write_bytes(Path("/proc/stat").read_bytes())
    engine = own_engine(connectors={"calm": {}})
    engine.command = [
        *in_namespaces(["--mount"], 'mount --bind "$1" /proc/stat', str(stat)), *engine.command,
    ]  # fmt: skip
    engine.start()
    engine.wait_ready()
    calm = engine.wait_state("calm", "RUNNING")
    text = stat.read_text()
    (found,) = re.findall(r"(?m)^btime (\d+)$", text)
    changed = f"btime {int(found) + 24 * HOUR}"
    used = wait_for(lambda: engine.task("calm")["cpu_seconds"])
    with stat.open("r+") as file:
        file.write(text.replace(f"btime {found}", changed))
    assert changed in Path(f"/proc/{engine.process.pid}/root/proc/stat").read_text()

    wait_for(lambda: (engine.task("calm")["cpu_seconds"] or 0) > used)
    assert engine.task("calm")["pid"] == calm["pid"]
    assert engine.task("calm")["restarts_total"] == 0
    kill(calm["pid"])
    assert engine.wait_anew("calm", calm)["restarts"] == {"killed": 1}


def test_f18_delays_and_counters_survive_a_machine_that_starts_anew(
    own_engine: MakeEngine, tmp_path: Path
) -> None:
    """All clocks but that on the wall begin at nothing again."""
    boot_id = tmp_path / "boot_id"
    boot_id.write_text("ffffffff-ffff-4fff-bfff-ffffffffffff\n")
    engine = own_engine(connectors={"waits": {"at_start": "exit 3", **SLOW}})
    engine.start()
    engine.wait_ready()
    before = engine.wait_state("waits", "BACKOFF")
    engine.kill()
    wait_for(lambda: engine.survivors() == [])
    up = int(time.clock_gettime(time.CLOCK_BOOTTIME)) - 10
    engine.command = [
        *in_namespaces(
            ["--time", "--mount", f"--boottime=-{up}", f"--monotonic=-{up}"],
            'mount --bind "$1" /proc/sys/kernel/random/boot_id', str(boot_id),
        ), *engine.command,
    ]  # fmt: skip

    engine.start()
    engine.wait_ready()

    after = engine.wait_state("waits", "BACKOFF")
    assert after["restarts"] == {"crash": 1}
    assert before["retry_in_seconds"] - 120 < after["retry_in_seconds"]
    assert after["retry_in_seconds"] < before["retry_in_seconds"]
    assert after["generation"] > before["generation"]


# ---- F46: a number that names another process by now -----------------------------------------

FEW, ONCE = 400, 300
"""Numbers in all, and those that a namespace takes once only."""

STRANGERS = """
import collections, os, select, sys, time
seen, ended = set(), collections.Counter()
living = collections.deque()
left = None
while left != 0:
    if left is None and select.select([0], [], [], 0.003)[0]:
        left = int(sys.argv[1])
    pid = os.fork()
    if not pid:
        time.sleep(0.05)
        os._exit(0)
    seen.add(pid)
    living.append(pid)
    if len(living) > 30:
        ended[os.waitpid(living.popleft(), 0)[1]] += 1
    left = left and left - 1
for pid in living:
    ended[os.waitpid(pid, 0)[1]] += 1
print(repr((dict(ended), sorted(seen))))
"""
"""When told to end, they use up all numbers once more."""


class NumberedAnew(SupervisedEngine):
    """It and its tasks have a namespace of processes with few numbers in it."""

    def __init__(self, directory: Path, **arguments: Any) -> None:
        super().__init__(directory, **arguments)
        options = ["--fork", "--pid", "--mount", "--kill-child"]
        script = f"mount -t proc proc /proc; echo {FEW} >/proc/sys/kernel/pid_max"
        self.command = [*in_namespaces(options, script), *self.command]

    @property
    def engine(self) -> int:
        """The engine's number as we see it; it is the child of what made the namespaces."""
        pid = self.process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


def test_f46_no_signal_hits_whoever_has_a_dead_tasks_number_by_now(tmp_path: Path) -> None:
    if tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) < (6, 14):
        lacks("numbers of processes by namespace", "the kernel is older than 6.14")
    engine = NumberedAnew(tmp_path / "engine", connectors={"calm": {"poll_ms": 5}})
    most = Path("/proc/sys/kernel/pid_max").read_text()
    with engine.ended():
        engine.start()
        engine.wait_ready()
        assert Path("/proc/sys/kernel/pid_max").read_text() == most
        task = engine.wait_state("calm", "RUNNING")
        inside = ["nsenter", "-t", str(engine.engine), "-p", "-m"]
        strangers = subprocess.Popen(
            [*inside, sys.executable, "-c", STRANGERS, str(FEW)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        numbers: list[int] = []
        while len({number for number in numbers if number > ONCE}) < 6:
            assert len(numbers) < 200
            numbers.append(task["pid"])
            ends(engine, len(numbers))
            task = engine.wait_anew("calm", task)

        told, _ = strangers.communicate(b"\n", timeout=60)
        ended, seen = ast.literal_eval(told.decode())
        assert ended.keys() == {0}  # none was signalled
        assert set(numbers) & set(seen), "no number came again"
        kill(engine.engine, signal.SIGTERM)
        assert engine.wait_end() == 0
        assert engine.survivors() == []


def ends(engine: SupervisedEngine, turn: int) -> None:
    """One way or another a task's process is to end, and another one to come."""
    if turn % 3 == 0:
        engine.ask("/connectors/calm/tasks/0/restart", "POST")
    elif turn % 3 == 1:
        engine.order("calm-0", "exit 3")
    else:
        engine.put("/connectors/calm/stop")
        engine.put("/connectors/calm/resume")
