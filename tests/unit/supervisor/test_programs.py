"""The herder, services and plan children as processes: started again, ended, never left behind."""

import asyncio
import os
import signal
import stat
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from engine.model.service import Service
from engine.supervisor.herder_process import HerderProcess
from engine.supervisor.listener import listen
from engine.supervisor.reaper import Reaper
from engine.supervisor.room import Room
from engine.supervisor.service_process import ServiceProcess
from engine.supervisor.settings import Settings
from engine.wire.channel import MAX_MESSAGE_BYTES
from engine.wire.herder_message import HerderBoot, TaskEvent, TaskReport
from engine.wire.sealed import seal
from tests.unit.supervisor.conditions import until
from tests.unit.supervisor.conftest import ReadLog

pytestmark = pytest.mark.usefixtures("subreaper")

HERDER = """
import socket, sys
from engine.wire.channel import Channel
from engine.wire.herder_message import Ack, HerderReady, SupervisorToHerder, TaskEvent
channel = Channel(socket.socket(fileno=int(sys.argv[1])), SupervisorToHerder)
channel.send(HerderReady())
while (received := channel.receive()) is not None:
    if isinstance(received[0], TaskEvent):
        print("heard", received[0].seq, flush=True)
        if received[0].seq == 3:
            channel.send(Ack(2))
"""


def event(seq: int) -> TaskEvent:
    return TaskEvent(seq, "running", 1, TaskReport("orders", 0, 1, "RUNNING", "hash"))


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path


def run(body: Callable[[Reaper], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        reaper = Reaper()
        reaper.start(lambda _pid: None)
        await body(reaper)

    asyncio.run(main())


class Heard:
    """What a herder process told."""

    def __init__(self, data_dir: Path, log: ReadLog, reaper: Reaper, program: str) -> None:
        boot = seal(HerderBoot(worker={}, connectors=[], data_dir=str(data_dir)), "boot")
        settings = Settings(data_dir, boot_fd=boot, herder_argv=("-c", program))
        self.herder = HerderProcess(settings, log.log, reaper, Room(log.log, 0))
        self.connected = 0
        self.messages: list[object] = []
        self.refused: list[int] = []

    def start(self) -> None:
        self.herder.start(self._connected, self._heard, self.refused.append)

    def _connected(self) -> None:
        self.connected += 1

    def _heard(self, message: object, descriptors: list[int]) -> None:
        self.messages.append(message)
        self.herder.is_ready = True


def heard_lines(data_dir: Path) -> list[str]:
    path = data_dir / "logs" / "herder.log"
    text = path.read_text() if path.exists() else ""
    return [
        line.partition('"event":"heard ')[2][:1] for line in text.splitlines() if "heard" in line
    ]


def test_events_that_were_not_acknowledged_are_told_to_the_next_herder(
    data_dir: Path, read_log: ReadLog
) -> None:
    async def body(reaper: Reaper) -> None:
        heard = Heard(data_dir, read_log, reaper, HERDER)
        heard.start()
        for seq in (1, 2, 3):
            heard.herder.send(event(seq))
        await until(lambda: len(heard.messages) == 2)
        heard.herder.acknowledged(2)
        os.kill(heard.herder.pid or 0, signal.SIGKILL)
        await until(lambda: heard.connected == 2)
        heard.herder.send(event(4))
        await until(lambda: heard_lines(data_dir) == ["1", "2", "3", "3", "4"])
        assert (heard.herder.restarts, heard.refused) == (1, [])
        heard.herder.close_socket()
        await until(lambda: heard.herder.pid is None)
        heard.herder.close()

    run(body)


@pytest.mark.parametrize(
    ("hash_", "why"), [("x" * MAX_MESSAGE_BYTES, "TaskEvent has"), ("\udc80", "surrogates")]
)
def test_an_event_that_cannot_be_sent_keeps_no_other_from_being_heard(
    data_dir: Path, read_log: ReadLog, hash_: str, why: str
) -> None:
    async def body(reaper: Reaper) -> None:
        heard = Heard(data_dir, read_log, reaper, HERDER)
        heard.start()
        bad = TaskEvent(2, "running", 1, TaskReport("orders", 0, 1, "RUNNING", hash_))
        for each in (event(1), bad, event(4)):
            heard.herder.send(each)
        await until(lambda: heard_lines(data_dir) == ["1", "4"])
        os.kill(heard.herder.pid or 0, signal.SIGKILL)
        await until(lambda: heard_lines(data_dir) == ["1", "4", "1", "4"])
        lost = [e for e in read_log.events() if e["event"] == "a message to the herder is lost"]
        assert len(lost) == 2
        assert why in lost[0]["error"]
        heard.herder.close_socket()
        await until(lambda: heard.herder.pid is None)
        heard.herder.close()

    run(body)


def test_the_first_herder_that_cannot_start_is_not_tried_again(
    data_dir: Path, read_log: ReadLog
) -> None:
    async def body(reaper: Reaper) -> None:
        heard = Heard(data_dir, read_log, reaper, "raise SystemExit(3)")
        heard.start()
        await until(lambda: heard.refused)
        assert heard.refused == [3]
        assert heard.connected == 1
        heard.herder.close()

    run(body)


def test_a_herder_that_speaks_nonsense_is_replaced(data_dir: Path, read_log: ReadLog) -> None:
    program = HERDER.replace(
        "channel.send(HerderReady())",
        "channel.send(HerderReady()); channel.sock.send(b'nonsense')",
    )

    async def body(reaper: Reaper) -> None:
        heard = Heard(data_dir, read_log, reaper, program)
        heard.start()
        await until(lambda: heard.herder.restarts >= 1)
        assert any("nonsense" in text for text in read_log.texts())
        heard.herder.close_socket()
        heard.herder.kill()
        await until(lambda: heard.herder.pid is None)
        heard.herder.close()

    run(body)


def test_a_herder_that_does_not_read_never_blocks_the_supervisor_and_is_killed(
    data_dir: Path, read_log: ReadLog
) -> None:
    program = HERDER.replace("while (", "import signal; signal.pause()\nwhile (")

    async def body(reaper: Reaper) -> None:
        heard = Heard(data_dir, read_log, reaper, program)
        heard.start()
        await until(lambda: heard.messages)
        first = heard.herder.pid
        for seq in range(1, 21_000):
            heard.herder.send(event(seq))
        await until(lambda: heard.herder.pid not in (None, first))
        assert "the herder does not read; it is killed" in read_log.texts()
        heard.herder.close_socket()
        heard.herder.kill()
        await until(lambda: heard.herder.pid is None)
        heard.herder.close()

    run(body)


def service(program: Path) -> Service:
    return Service(
        "echo", (str(program),), {"PATH": "/bin"}, program.parent, "127.0.0.1", 1, "echo"
    )


def executable(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_service_is_started_again_and_its_output_is_kept(
    data_dir: Path, read_log: ReadLog
) -> None:
    async def body(reaper: Reaper) -> None:
        program = executable(data_dir / "program", "echo here; exec sleep 60")
        process = ServiceProcess(service(program), data_dir, read_log.log, reaper)
        process.start()
        first, output = process.pid, data_dir / "logs" / "echo.log"
        await until(lambda: output.read_text() == "here\n")
        os.kill(first or 0, signal.SIGKILL)
        await until(lambda: process.pid not in (None, first))
        await until(lambda: output.read_text() == "here\nhere\n")
        assert process.restarts == 1
        process.terminate()
        await until(lambda: process.pid is None)
        assert process.restarts == 1

    run(body)


def test_what_a_service_started_ends_with_it(data_dir: Path, read_log: ReadLog) -> None:
    async def body(reaper: Reaper) -> None:
        program = executable(data_dir / "program", "sleep 60 & echo $! > child; wait")
        process = ServiceProcess(service(program), data_dir, read_log.log, reaper)
        process.start()
        child = data_dir / "child"
        await until(lambda: child.exists() and child.read_text())
        os.kill(process.pid or 0, signal.SIGKILL)
        pid = int(child.read_text())
        process.terminate()
        await until(lambda: process.pid is None)
        await until(lambda: not os.path.exists(f"/proc/{pid}"))

    run(body)


def test_a_port_that_is_taken_is_refused_and_leaves_nothing_open() -> None:
    with listen("127.0.0.1", 0) as first:
        before = set(os.listdir("/proc/self/fd"))
        with pytest.raises(OSError, match="Address already in use"):
            listen("127.0.0.1", first.getsockname()[1])
        assert set(os.listdir("/proc/self/fd")) == before


def test_both_families_can_be_listened_on() -> None:
    for host in ("127.0.0.1", "::1", ""):
        with listen(host, 0) as sock:
            assert sock.getsockname()[1] > 0
