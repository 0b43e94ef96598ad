"""D with rivals: processes that do not stop, and processes that are stuck."""

import os
import signal
import subprocess
import time

from tests.system.faults.rival import Program, Rival, expect, wait, watch
from tests.system.faults.rival_operators import DEAF, WAITS
from tests.system.faults.standstill import frozen_disk
from tests.system.faults.supervised import is_alive, kill, pid_in, stat_of

_DAEMON = (
    "os.fork() or (os.setsid(), os.fork() and os._exit(0), "
    "signal.signal(signal.SIGTERM, signal.SIG_IGN), "
    "open('daemon', 'w').write(str(os.getpid())), time.sleep(1000))\n"
)


def f30_deaf(rival: Rival) -> None:
    with rival.running(Program(DEAF + WAITS), Program(name="other")):
        (pid,) = rival.pids()
        rival.order("stop")
        expect(wait(lambda: not is_alive(pid), 15), "is not killed")


def f31_stop_of_a_stopped_one(rival: Rival) -> None:
    text = "signal.signal(signal.SIGTERM, lambda *_: (open('end', 'w'), os._exit(0)))\n" + WAITS
    with rival.running(Program(text, grace=4), Program(name="other")):
        (pid,) = rival.pids()
        kill(pid, signal.SIGSTOP)
        rival.order("stop")
        expect(wait(lambda: not is_alive(pid), 15), "is not ended")
        expect((rival.folder / "end").exists(), "is killed, for nothing wakes it up")


def f32_stopped(rival: Rival) -> None:
    with rival.running(Program()):
        (pid,) = rival.pids()
        kill(pid, signal.SIGSTOP)
        noticed = wait(lambda: not is_alive(pid), 15)
        expect(noticed, "is not noticed in 15 s: nothing looks whether it still turns")


def f33_hangs(rival: Rival) -> None:
    with rival.running(Program("import ctypes\nctypes.PyDLL(None).sleep(1000)")):
        (pid,) = rival.pids()
        noticed = wait(lambda: not is_alive(pid), 15)
        expect(noticed, "is not noticed in 15 s: nothing looks whether it still turns")


def f35_unkillable(rival: Rival) -> None:
    text = "while not os.path.exists('go'): time.sleep(0.05)\n"
    text += "open(open('go').read(), 'w').write('x')"
    with (
        frozen_disk(rival.folder) as freeze,
        rival.running(Program(text), Program(name="other")),
    ):
        (pid,) = rival.pids()
        file = freeze() / "file"
        (rival.folder / "go.new").write_text(str(file))
        (rival.folder / "go.new").rename(rival.folder / "go")
        expect(wait(lambda: stat_of(pid)[:1] == ["D"]), "the process did not get stuck")
        rival.process.send_signal(signal.SIGTERM)
        ended = wait(lambda: rival.process.poll() is not None, 20)
        subprocess.run(["fsfreeze", "--unfreeze", file.parent], check=False)
        expect(ended, "still waits for it 20 s after the order to end")


def f36_daemon(rival: Rival) -> None:
    settings = {
        "supervisor": "stopasgroup=true\nkillasgroup=true\n",
        "circus": "stop_children=true\n",
    }
    with rival.running(Program(_DAEMON + WAITS, settings=settings), Program(name="other")):
        daemon = pid_in(rival.folder / "daemon")
        expect(is_alive(daemon), "the grandchild did not start")
        rival.order("stop")
        expect(wait(lambda: not is_alive(daemon), 10), "the grandchild lives on")


def f37_open_output(rival: Rival) -> None:
    text = "os.fork() or (os.setsid(), time.sleep(1000))\n"
    with rival.running(Program(text + WAITS)):
        expect(wait(lambda: len(rival.pids()) == 2), "the one that keeps it did not start")
        (pid,) = [each for each in rival.pids() if stat_of(each)[1] == str(rival.process.pid)]
        kill(pid)
        back = wait(lambda: len(rival.pids()) >= 3)
        expect(back, "does not come back while its output is open")
        watch(1)
        for each in rival.pids():
            if os.getsid(each) == each and stat_of(each)[1] != str(rival.process.pid):
                kill(each)


def f39_many_deaf(rival: Rival) -> None:
    with rival.running(Program(DEAF + WAITS, count=40)):
        began = time.monotonic()
        rival.process.send_signal(signal.SIGTERM)
        rival.expect_end(90)
        seconds = time.monotonic() - began
        expect(seconds < 2 + 5 + 5, f"takes {seconds:.0f} s: each waits for the one before")
