"""E with rivals: the supervisor itself is hit, its clock is set, its files are changed."""

import os
import re
import signal
from pathlib import Path

from tests.system.faults.clocks import WallClock, in_namespaces
from tests.system.faults.rival import Program, Rival, expect, wait, watch
from tests.system.faults.supervised import children_of, is_alive, kill

_HOUR = 3600


def f40_killed(rival: Rival) -> None:
    with rival.running(Program(count=3)):
        pids = rival.pids()
        rival.process.kill()
        rival.process.wait()
        ended = wait(lambda: not any(map(is_alive, pids)), 10)
        expect(ended, "all that it ran lives on, without anybody who looks after it")


def f43_paused(rival: Rival) -> None:
    with rival.running(Program(count=2)):
        pids = rival.pids()
        for pid in (rival.process.pid, *pids):
            kill(pid, signal.SIGSTOP)
        watch(6)
        for pid in (rival.process.pid, *pids):
            kill(pid, signal.SIGCONT)
        watch(4)
        expect(rival.pids() == pids, "ends what was paused with it")


def f44_wall_clock(rival: Rival) -> None:
    clock = WallClock(rival.folder, rival.environment)
    rival.environment = clock.environment
    with rival.running(Program(), Program(name="calm")):
        calm = rival.pids("calm")
        for offset in (-_HOUR, 24 * _HOUR):
            clock.set(offset)
            pids = rival.pids()
            kill(pids[0])
            rival.wait_anew(pids)
            expect(rival.pids("calm") == calm, "restarts what had not ended")


def f45_other_start_times(rival: Rival) -> None:
    stat = rival.folder / "stat"
    text = Path("/proc/stat").read_text()
    stat.write_text(text)
    rival.prefix = in_namespaces(["--mount"], 'mount --bind "$1" /proc/stat', str(stat))
    with rival.running(Program(), Program(name="calm")):
        calm, pids = rival.pids("calm"), rival.pids()
        (found,) = re.findall(r"(?m)^btime (\d+)$", text)
        with stat.open("r+") as file:
            file.write(text.replace(f"btime {found}", f"btime {int(found) + 24 * _HOUR}"))
        watch(6)
        expect(rival.pids("calm") == calm, "restarts what had not ended")
        kill(pids[0])
        rival.wait_anew(pids)


def f47_power_failure(rival: Rival) -> None:
    with rival.running(Program()):
        rival.process.kill()
        rival.process.wait()
        for pid in rival.survivors():
            kill(pid)
        expect(wait(lambda: not rival.survivors()), "something could not be ended")
        rival.start()
        expect(wait(rival.pids), f"does not start: {rival.said()[-200:]}")
        expect(rival.order("restart").returncode == 0, "cannot be told anything")


def f48_socket_removed(rival: Rival) -> None:
    with rival.running(Program()):
        (rival.folder / "socket").unlink()
        watch(65)  # whoever looks after it does so once a minute
        expect(rival.ctl("status").returncode == 0, "hears nothing any more")


def f50_twice(rival: Rival) -> None:
    with rival.running(Program(count=2)):
        first, pids = rival.process, rival.pids()
        rival.start()
        refused = wait(lambda: rival.process.poll() is not None, 15)
        second, rival.process = rival.process, first
        more = len(rival.pids()) - len(pids)
        if not refused:
            second.kill()
            for pid in rival.survivors():
                if pid not in (first.pid, *pids) and pid not in children_of(first.pid):
                    os.kill(pid, signal.SIGKILL)
        expect(more <= 0, f"runs {more} more processes")
        expect(refused and second.wait() != 0, "does not refuse to start")
        expect(set(pids) <= set(rival.pids()), "ends what the first one ran")
