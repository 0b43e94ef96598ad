"""F, G and H with rivals: what runs short, what is logged, and who asks."""

import contextlib
import os
import resource
import signal
import socket
import time

from tests.system.disk import tmpfs
from tests.system.faults.rival import Program, Rival, expect, wait, watch
from tests.system.faults.standstill import full_group
from tests.system.faults.supervised import kill, zombies_of

_BEATS = "open('beats', 'a').write(f'{time.monotonic()}\\n')\n"


def f55_no_process(rival: Rival) -> None:
    with full_group() as confine, rival.running(Program(), Program(name="other")):
        other = rival.pids("other")
        group = confine(rival.process.pid)
        (pid,) = rival.pids()
        kill(pid)
        watch(3)
        (group / "pids.max").write_text("max")
        expect(rival.process.poll() is None, "ends itself")
        expect(wait(rival.pids), "does not come back when processes can be made again")
        expect(rival.pids("other") == other, "restarts another program")


def f56_no_descriptors(rival: Rival) -> None:
    with rival.running(Program(), Program(name="other")):
        other = rival.pids("other")
        daemon = rival.process.pid
        usual = resource.prlimit(daemon, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon, resource.RLIMIT_NOFILE, (10, usual[1]))
        (pid,) = rival.pids()
        kill(pid)
        watch(3)
        expect(rival.process.poll() is None, "ends itself")
        resource.prlimit(daemon, resource.RLIMIT_NOFILE, usual)
        expect(wait(rival.pids), "does not come back when files can be opened again")
        expect(rival.pids("other") == other, "restarts another program")


def f57_leaks(rival: Rival) -> None:
    with rival.running(Program(count=40)):

        def held() -> tuple[int, int, int]:
            base = f"/proc/{rival.process.pid}"
            threads = len(os.listdir(f"{base}/task"))
            return len(os.listdir(f"{base}/fd")), threads, len(zombies_of(rival.process.pid))

        def kill_all() -> None:
            victims = rival.pids()
            for pid in victims:
                kill(pid)
            rival.wait_anew(victims)

        kill_all()
        before = held()
        for _ in range(4):
            kill_all()
        fits = wait(lambda: all(a <= b + 2 for a, b in zip(held(), before, strict=True)), 10)
        expect(fits, f"descriptors, threads, zombies: {before}, 160 restarts later {held()}")


def f58_full_disk(rival: Rival) -> None:
    text = f"while True:\n  print('x' * 1000, flush=True); time.sleep(0.002)\n  {_BEATS}"
    rival.logs = rival.folder / "logs"
    with tmpfs(rival.logs, "size=1m"), rival.running(Program(text), Program(name="other")):
        watch(8)
        before = len(rival.marks("beats"))
        other = rival.pids("other")
        kill(other[0])
        rival.wait_anew(other, "other")
        watch(2)
        expect(rival.process.poll() is None, "ends itself")
        expect(len(rival.marks("beats")) > before, "the task waits for the disk")


def f59_flood(rival: Rival) -> None:
    text = "data = (b'x' * 199 + b'\\n') * 500\nwhile True: os.write(1, data)"
    small = {
        "supervisor": "stdout_logfile_maxbytes=1MB\nstdout_logfile_backups=1\n",
        "circus": "stdout_stream.max_bytes=1000000\nstdout_stream.backup_count=1\n"
        "stderr_stream.max_bytes=1000000\nstderr_stream.backup_count=1\n",
    }
    with rival.running(Program(text, name="loud", settings=small), Program()):
        watch(3)
        for _ in range(2):
            pids = rival.pids()
            kill(pids[0])
            rival.wait_anew(pids)
        rival.ctl("status", timeout=15)


def f61_last_words(rival: Rival) -> None:
    text = "os.write(1, b'last words\\n' * 500 + b'half a li')\nos.kill(os.getpid(), 9)"
    with rival.running(Program("time.sleep(1.5)\n" + text)):
        log = rival.folder / "task.log"
        told = wait(lambda: log.exists() and "half a li" in log.read_text(), 10)
        expect(told and log.read_text().count("last words") >= 500, "last words are lost")


def f62_odd_lines(rival: Rival) -> None:
    text = "os.write(1, b'caf\\xe9\\xff\\n' + b'y' * 1000000 + b'\\nhalf')\nsignal.pause()"
    with rival.running(Program(text)):
        log = rival.folder / "task.log"
        whole = b"caf\xe9\xff\n" + b"y" * 1_000_000 + b"\nhalf"
        told = wait(lambda: log.exists() and whole in log.read_bytes(), 10)
        expect(told, "bytes are changed or lost")


def f63_logrotate(rival: Rival) -> None:
    text = "n = 0\nwhile True: print('word', n, flush=True); n += 1; time.sleep(0.005)"
    with rival.running(Program(text)):
        log, moved = rival.folder / "task.log", rival.folder / "task.log.moved"
        expect(wait(lambda: log.exists() and log.stat().st_size > 1000), "there is no log")
        log.rename(moved)
        rival.process.send_signal(signal.SIGUSR2)
        expect(wait(lambda: log.exists() and log.stat().st_size > 1000, 10), "is not opened again")
        rival.order("stop")
        words = (moved.read_text() + log.read_text()).split()[1::2]
        expect(words == [str(n) for n in range(len(words))], "lines are lost")


def f70_bad_clients(rival: Rival) -> None:
    with contextlib.ExitStack() as sockets, rival.running(Program()):
        for words in (
            b"",
            b"\0" * 999,
            b"POST /RPC2 HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n",
        ):
            for _ in range(10):
                made = socket.socket(socket.AF_UNIX)
                sockets.enter_context(made)
                made.settimeout(1)
                with contextlib.suppress(OSError):
                    made.connect(str(rival.folder / "socket"))
                    made.sendall(words)
        deadline = time.monotonic() + 10
        with contextlib.suppress(OSError):
            while time.monotonic() < deadline:
                made.send(b"x" * 65536)
        pids = rival.pids()
        kill(pids[0])
        rival.wait_anew(pids)
        expect(rival.ctl("status", timeout=15).returncode == 0, "does not answer others")
