"""H. The engine under a service manager: what it is told, and what it makes of signals."""

import contextlib
import os
import pty
import re
import select
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.faults.supervised import SupervisedEngine, kill
from tests.system.running_engine import properties, wait_for
from tests.system.versions import Versions

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

MakeEngine = Callable[..., SupervisedEngine]

TAKES_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class ServiceManager:
    """Hears what a service tells systemd."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self._heard: list[str] = []
        self.environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "1500000"}

    def heard(self, *beginnings: str) -> list[str]:
        """Datagrams so far, those that begin so."""
        while True:
            try:
                self._heard.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return [each for each in self._heard if each.startswith(beginnings or "")]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ServiceManager]:
    made = ServiceManager(tmp_path / "notify")
    yield made
    made.close()


def start(engine: SupervisedEngine, manager: ServiceManager) -> None:
    engine.start(env={**os.environ, "PYTHONPATH": plugins(), **manager.environment})
    engine.wait_ready()


def plugins() -> str:
    return str(Path(__file__).parents[1] / "plugins")


def rewrite(engine: SupervisedEngine, name: str, **keys: object) -> None:
    file = engine.directory / f"{name}.properties"
    file.write_text(properties({"name": name, **engine.config(**keys)}))


def test_a_service_manager_hears_the_life_of_the_service(
    own_engine: MakeEngine, manager: ServiceManager
) -> None:
    engine = own_engine(connectors={"calm": {"tasks_max": 2}})
    start(engine, manager)
    wait_for(lambda: "STATUS=2 running" in manager.heard())
    wait_for(lambda: len(manager.heard("WATCHDOG=1")) > 2)
    assert manager.heard("READY", "STOPPING", "RELOADING") == ["READY=1"]
    herder = engine.ask("/engine/worker").body["herder_pid"]
    below = (engine.task("calm")["pid"], herder, engine.pid_of("engine: zygote"))
    for pid in below:  # nobody but the supervisor speaks to the service manager
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"NOTIFY_SOCKET" not in environment
        assert b"WATCHDOG_USEC" not in environment

    assert engine.stop() == 0
    ready, stopping = manager.heard("READY", "STOPPING", "RELOADING")
    assert ready == "READY=1"
    assert re.fullmatch(r"STOPPING=1\nEXTEND_TIMEOUT_USEC=\d{8}", stopping)


def test_f66_a_reload_begins_and_ends_for_the_service_manager_whatever_comes_of_it(
    own_engine: MakeEngine, manager: ServiceManager
) -> None:
    engine = own_engine(connectors={"calm": {}, "other": {}})
    start(engine, manager)
    calm = engine.wait_state("calm", "RUNNING")
    engine.wait_state("other", "RUNNING")
    rewrite(engine, "other", tasks_max=2)
    (engine.directory / "calm.properties").write_text("nothing=here\n")

    engine.process.send_signal(signal.SIGHUP)

    wait_for(lambda: len(manager.heard("READY")) == 2)
    first, reloading, again = manager.heard("READY", "RELOADING", "STOPPING")
    assert (first, again) == ("READY=1", "READY=1")
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", reloading)
    engine.wait_state("other", "RUNNING", 1)
    assert engine.task("calm")["pid"] == calm["pid"]
    told = "STATUS=3 running; not reloaded: "
    (status,) = wait_for(lambda: manager.heard(told))
    assert "calm.properties:1: The connector has no name" in status
    rewrite(engine, "calm")

    engine.process.send_signal(signal.SIGHUP)

    wait_for(lambda: manager.heard("STATUS")[-1] == "STATUS=3 running")
    assert len(manager.heard("READY")) == 3
    assert engine.stop() == 0


def test_f67_a_loop_that_does_not_turn_does_not_feed_the_watchdog(
    own_engine: MakeEngine, manager: ServiceManager
) -> None:
    engine = own_engine()
    start(engine, manager)
    wait_for(lambda: manager.heard("WATCHDOG=1"))
    kill(engine.process.pid, signal.SIGSTOP)
    wait_for(lambda: is_stopped(engine.process.pid))
    before = len(manager.heard("WATCHDOG=1"))
    subprocess.run(["sleep", "2"], check=True)
    assert len(manager.heard("WATCHDOG=1")) == before

    kill(engine.process.pid, signal.SIGCONT)

    wait_for(lambda: len(manager.heard("WATCHDOG=1")) > before)
    assert engine.stop() == 0


LOOPS_FOR_EVER = (
    "engine/supervisor/supervisor.py",
    '        self.log.debug("asked to open the log files anew, which happens by itself")',
    "        while True:\n            pass",
)


def test_f67_a_loop_that_hangs_in_python_tells_where_before_the_watchdog_ends_it(
    tmp_path: Path, own_engine: MakeEngine, manager: ServiceManager
) -> None:
    """The stacks are in a file before anybody does anything, and in the log after SIGABRT."""
    versions = Versions(tmp_path / "versions")
    versions.make("bad", LOOPS_FOR_EVER)
    versions.choose("bad")
    engine = own_engine(connectors={"calm": {"tasks_max": 2}, "deaf": {"at_stop": "wait 60"}})
    engine.command[:3] = [str(versions.command)]
    start(engine, manager)
    for name, number in (("calm", 0), ("calm", 1), ("deaf", 0)):
        engine.wait_state(name, "RUNNING", number)
    file = engine.data_dir / "supervisor.stacks"
    assert file.read_bytes() == b""

    engine.process.send_signal(signal.SIGUSR1)
    stacks = wait_for(lambda: file.read_text() if "_logs_moved" in file.read_text() else None)
    assert 'supervisor.py", line' in stacks
    heard = len(manager.heard("WATCHDOG=1"))
    subprocess.run(["sleep", "2"], check=True)
    assert len(manager.heard("WATCHDOG=1")) == heard
    engine.process.send_signal(signal.SIGABRT)  # what systemd does then

    assert engine.wait_end() == -signal.SIGABRT
    said = engine.stderr.read_text()
    assert "Fatal Python error: Aborted" in said
    assert "_logs_moved" in said
    wait_for(lambda: engine.survivors() == [])  # by their deadlines, the deaf one among them
    start(engine, manager)
    for name, number in (("calm", 0), ("calm", 1), ("deaf", 0)):
        engine.wait_state(name, "RUNNING", number)
    told = "the supervisor before this one hung and was ended"
    (line,) = [line for line in engine.log() if line["event"] == told]
    assert "_logs_moved" in line["stacks"]
    assert f'"{told}"' in engine.ask("/engine/events?tail=1000").body
    assert file.read_bytes() == b""
    assert engine.stop() == 0


def is_stopped(pid: int) -> bool:
    return "State:\tT" in Path(f"/proc/{pid}/status").read_text()


def test_f70_clients_that_hang_or_send_without_end_keep_nobody_else_waiting(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name)
    task = engine.wait_state(name, "RUNNING")
    with contextlib.ExitStack() as sockets:

        def connect(*words: bytes) -> socket.socket:
            made = socket.create_connection(("127.0.0.1", engine.port), timeout=30)
            sockets.enter_context(made)
            for each in words:
                made.sendall(each)
            return made

        head = b"PUT /connectors/x/config HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        for _ in range(50):
            connect()
            connect(head)
            connect(head + b"Content-Length: 100\r\n\r\n", b'{"connector.class"')
            connect(b"GET /engine/events?follow=true HTTP/1.1\r\nHost: x\r\n\r\n")
        endless = connect(head + b"Content-Length: 1000000000\r\n\r\n")
        sent = 0
        with contextlib.suppress(OSError):  # they hang up, sooner or later
            while sent < 100_000_000 and not select.select([endless], [], [], 0)[0]:
                sent += endless.send(b"x" * 65536)
        assert b" 413 " in endless.recv(100).splitlines()[0]
        assert sent < 50_000_000
        nonsense = connect(b"\x16\x03\x01\x02\0" * 100 + b"\r\n\r\n")
        assert nonsense.recv(100).startswith(b"HTTP/1.0 4")

        for path in ("/", "/connectors", f"/connectors/{name}/status", "/engine/tasks", "/health"):
            assert engine.ask(path).status == 200
        assert engine.ask("/engine/worker").body["loop_lag_seconds"] < 5
        kill(task["pid"])
        assert engine.wait_anew(name, task)["restarts"] == {"killed": 1}


def test_f25_a_lost_terminal_ends_the_service_in_good_order_and_never_in_a_hurry(
    own_engine: MakeEngine,
) -> None:
    engine = own_engine(connectors={"slow": {"at_stop": "wait 1"}})
    terminal, theirs = pty.openpty()
    python = engine.command[0]
    engine.command = [python, "-c", TAKES_TERMINAL, *engine.command]
    engine.start(stdin=theirs, process_group=None)
    os.close(theirs)
    engine.wait_ready()
    engine.wait_state("slow", "RUNNING")

    os.close(terminal)
    wait_for(lambda: "stopping" in engine.texts())
    engine.process.send_signal(signal.SIGHUP)

    assert engine.wait_end(15) == 0
    assert "stopped, exit code 0" in [line.get("reason") for line in engine.log()]
    assert "stopping at once" not in engine.texts()
    assert engine.survivors() == []
