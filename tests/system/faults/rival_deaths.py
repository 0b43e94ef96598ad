"""A and B with rivals: deaths of processes, and storms of them."""

import itertools
import os
import signal
import subprocess
import time
from pathlib import Path

from tests.system.faults.rival import Program, Rival, expect, wait, watch
from tests.system.faults.supervised import kill, stat_of

_COUNTS = "open('starts', 'a').write(f'{time.monotonic()}\\n')\n"
_WATCHED = 20.0


def f01_killed(rival: Rival) -> None:
    with rival.running(Program(count=2)):
        victim, other = rival.pids()
        kill(victim)
        after = rival.wait_anew([victim, other])
        expect(other in after, "restarts another process too")


def f02_exit_0(rival: Rival) -> None:
    with rival.running(Program("time.sleep(2)")):
        rival.wait_anew(rival.pids())


def f03_crash(rival: Rival) -> None:
    with rival.running(Program()):
        (pid,) = rival.pids()
        kill(pid, signal.SIGSEGV)
        rival.wait_anew([pid])
        told = wait(lambda: any(w in rival.said() for w in ("SIGSEGV", "signal 11", "-11")), 5)
        expect(told, "comes back, but the signal is told nowhere")


_EXITS = {"supervisor": "autorestart=unexpected\nexitcodes=78\n"}


def f04_permanent(rival: Rival) -> None:
    program = Program(_COUNTS + "time.sleep(1.5)\nsys.exit(78)", settings=_EXITS)
    with rival.running(program):
        watch(8)
        starts = len(rival.marks())
        expect(starts == 1, f"{starts} starts in 8 s; it has no list of exit codes for that")


def f05_exit_codes(rival: Rival) -> None:
    text = _COUNTS + "time.sleep(1.5)\nsys.exit(75 if len(open('starts').readlines()) < 2 else 78)"
    with rival.running(Program(text, settings=_EXITS)):
        expect(wait(lambda: len(rival.marks()) >= 2), "does not come back after 75")
        watch(8)
        starts = len(rival.marks())
        expect(starts == 2, f"{starts} starts, where 78 was to be the last")


def f08_many(rival: Rival) -> None:
    with rival.running(Program(count=200)):
        victims = rival.pids()
        for pid in victims:
            kill(pid)
        rival.wait_anew(victims)
        expect(len(rival.pids()) == 200, "has not as many processes as before")


def f09_sigchld_ignored(rival: Rival) -> None:
    rival.prefix = ("/bin/sh", "-c", 'trap "" CHLD; exec "$@"', "sh")
    with rival.running(Program()):
        victims = rival.pids()
        kill(victims[0])
        rival.wait_anew(victims)


def children(pid: int) -> str:
    """As the kernel lists them."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


def f10_orphan(rival: Rival) -> None:
    """As process 1, where orphans of others are its children."""
    spaces = ["--fork", "--pid", "--mount", "--kill-child"]
    inside = ["sh", "-ec", 'mount -t proc proc /proc; exec "$@"', "sh"]
    rival.prefix = ("unshare", *spaces, *inside)
    orphan = "os.fork() or (os.fork() or (time.sleep(1), os._exit(3)), os._exit(0))\nos.wait()\n"
    with rival.running(Program(f"{orphan}signal.pause()")):
        daemon = int(children(rival.process.pid))
        pids = rival.pids()
        watch(4)
        dead = [p for p in children(daemon).split() if stat_of(int(p))[:1] == ["Z"]]
        expect(not dead, "leaves the orphan a zombie")
        expect(set(rival.pids()) <= set(pids), "restarts what had not ended")
        os.kill(daemon, signal.SIGTERM)
        rival.expect_end()


def _is_damped(starts: list[float], now: float) -> bool:
    expect(starts, "is not started at all")
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    return now - starts[-1] > 7 or (len(gaps) > 2 and gaps[-1] > 1.5 * gaps[0])


def dies_at_once(rival: Rival) -> Program:
    """One that no busy machine makes look as if it had been up for a while."""
    longer = {"supervisor": "startsecs=3\n"}
    return Program(_COUNTS + "sys.exit(1)", settings=longer, command=str(rival.folder / "task"))


def f11_dies_at_once(rival: Rival) -> None:
    with rival.running(dies_at_once(rival)):
        watch(_WATCHED)
        starts = rival.marks()
        damped = _is_damped(starts, time.monotonic())
        expect(damped, f"{len(starts)} starts in {_WATCHED:g} s, at the same pace to the end")


def f12_dies_soon(rival: Rival) -> None:
    with rival.running(Program(_COUNTS + "time.sleep(1.3)\nsys.exit(1)")):
        watch(_WATCHED)
        starts = rival.marks()
        damped = _is_damped(starts, time.monotonic())
        expect(damped, f"{len(starts)} starts in {_WATCHED:g} s, at the same pace to the end")


def f16_limit(rival: Rival) -> None:
    with rival.running(dies_at_once(rival)):
        watch(_WATCHED)
        starts = rival.marks()
        expect(starts, "is not started at all")
        expect(time.monotonic() - starts[-1] > 7, "there is no limit that it reaches")
        expect("FATAL" in rival.ctl("status").stdout, "does not say that it has given up")
        rival.order("start")
        expect(wait(lambda: len(rival.marks()) > len(starts), 5), "cannot be started again")


def f18_memory_of_waits(rival: Rival) -> None:
    with rival.running(dies_at_once(rival)):
        watch(_WATCHED)
        before = rival.marks()
        expect(time.monotonic() - before[-1] > 7, "does not give up in time")
        rival.process.kill()
        rival.process.wait()
        rival.start()
        watch(8)
        more = len(rival.marks()) - len(before)
        expect(not more, f"has forgotten that it had given up, and starts it {more} times more")


def f19_no_interpreter(rival: Rival) -> None:
    gone = Program(name="gone", command="/nonexistent/python")
    with rival.running(Program(), gone):
        pids = rival.pids()
        watch(5)
        expect(rival.pids() == pids, "another program suffers")
        began = time.monotonic()
        try:
            rival.ctl("status", timeout=10)
        except subprocess.TimeoutExpired:
            expect(False, "does not answer meanwhile")
        expect(time.monotonic() - began < 10, "hardly answers meanwhile")
        tries = rival.said().count("gone")
        expect(tries < 60, f"{tries} lines of log in 5 s")
