"""The herder's real process, with its REST API, over a fake supervisor's socket."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from engine.wire.herder_message import ConnectorFile
from engine.wire.sealed import seal
from tests.unit.herder.fake_supervisor import FakeSupervisor, wait_until
from tests.unit.herder.running_herder import boot_of

FILE = {"connector.class": "FileStreamSource", "topic": "t", "file": "/nowhere"}


class Process:
    """A herder's process and the address of its REST API."""

    def __init__(self, popen: "subprocess.Popen[bytes]", listener: socket.socket) -> None:
        self.popen = popen
        self._listener = listener

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection(*self._listener.getsockname())
        data = json.dumps(body).encode() if body is not None else b""
        writer.write(
            f"{method} {path} HTTP/1.0\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n".encode()
            + data
        )
        answer = await reader.read()
        writer.close()
        head, _, rest = answer.partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), rest

    async def wait(self) -> int:
        await wait_until(lambda: self.popen.poll() is not None)
        return self.popen.returncode


def spawn(sock: int, boot: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-P", "-m", "engine.cli.herder_process"]
    return subprocess.Popen(
        [*command, str(sock), str(boot)],
        pass_fds=(sock, boot),
        stderr=subprocess.DEVNULL,
    )


@asynccontextmanager
async def started(
    supervisor: FakeSupervisor, data_dir: Path, *files: ConnectorFile
) -> AsyncIterator[Process]:
    """A process, ready; killed at the end if it still lives."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        boot = seal(boot_of(data_dir, files), "boot")
        with supervisor.connect(listener.fileno()) as theirs:
            popen = spawn(theirs.fileno(), boot)
        os.close(boot)
        process = Process(popen, listener)
        try:
            await wait_until(lambda: supervisor.is_ready or popen.poll() is not None)
            yield process
        finally:
            popen.kill()
            popen.wait()
            supervisor.disconnect()


def test_nothing_that_rest_acknowledged_is_lost_by_a_kill(tmp_path: Path) -> None:
    async def scenario() -> None:
        supervisor = FakeSupervisor()
        for n in range(3):
            async with started(supervisor, tmp_path) as process:
                status, _ = await process.ask(
                    "POST", "/connectors", {"name": f"c{n}", "config": FILE}
                )
                assert status == 201
                process.popen.send_signal(signal.SIGKILL)
                assert await process.wait() == -signal.SIGKILL
        async with started(supervisor, tmp_path) as process:
            status, body = await process.ask("GET", "/connectors")
            assert (status, json.loads(body)) == (200, ["c0", "c1", "c2"])
            status, body = await process.ask("GET", "/connectors/c2/status")
            assert json.loads(body)["tasks"][0]["state"] == "RUNNING"
        supervisor.close()

    asyncio.run(scenario())


def test_the_process_ends_when_its_supervisor_does_and_not_by_a_signal_to_the_group(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        supervisor = FakeSupervisor()
        async with started(supervisor, tmp_path) as process:
            process.popen.send_signal(signal.SIGTERM)
            process.popen.send_signal(signal.SIGINT)
            assert (await process.ask("GET", "/connectors"))[0] == 200
            supervisor.disconnect()
            assert await process.wait() == 0
        supervisor.close()

    asyncio.run(scenario())


def test_the_process_exits_with_3_when_a_connector_of_the_command_line_is_invalid(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        supervisor = FakeSupervisor()
        async with started(supervisor, tmp_path, ConnectorFile("bad", {**FILE, "topic": ""})) as p:
            assert await p.wait() == 3
        supervisor.close()

    asyncio.run(scenario())


def test_a_data_directory_that_cannot_be_used_is_named_and_ends_the_process(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        supervisor = FakeSupervisor()
        async with started(supervisor, tmp_path / "nowhere") as process:
            assert await process.wait() == 1
        supervisor.close()

    asyncio.run(scenario())
