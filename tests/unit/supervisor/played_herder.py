"""A supervisor with real tasks, whose herder is played by the test.

The herder's process hands its end of the socket to the test and waits to be killed.
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from engine.model.deadlines import Deadlines
from engine.model.restart_policy import RestartPolicy
from engine.model.supervision import Supervision
from engine.supervisor.instance import Instance
from engine.supervisor.settings import Settings
from engine.supervisor.supervisor import Supervisor
from engine.wire.channel import Channel
from engine.wire.herder_message import (
    Desire,
    HerderReady,
    Plan,
    SnapshotEnd,
    SupervisorToHerder,
    SyncBegin,
    SyncEnd,
    TaskEvent,
    TaskReport,
    TaskSnapshot,
)
from engine.wire.plan_message import PlanRequest
from engine.wire.sealed import seal
from engine.wire.task_message import TaskAssignment
from tests.unit.supervisor.conftest import ReadLog

RELAY = """
import signal, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as test:
    test.connect(sys.argv[1])
    socket.send_fds(test, [b"x"], [int(sys.argv[2])])
signal.pause()
"""

STRINGS = "org.apache.kafka.connect.storage.StringConverter"
WORKER = {
    "bootstrap.servers": "127.0.0.1:9",
    "key.converter": STRINGS,
    "value.converter": STRINGS,
    "task.shutdown.graceful.timeout.ms": "2000",
}
PATIENCE = 30.0


class PlayedHerder:
    """The test's end of the herder's socket, and the supervisor behind it.

    Attributes:
        delay: seconds before a task is restarted.
        heard: what the supervisor said since the last herder came.
    """

    def __init__(self, data_dir: Path, log: ReadLog) -> None:
        self.data_dir = data_dir
        self.delay = 0.05
        path = data_dir / "relay"
        self._ear = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._ear.bind(str(path))
        self._ear.listen()
        self._ear.setblocking(False)
        settings = Settings(
            data_dir,
            boot_fd=os.open(os.devnull, os.O_RDONLY),
            herder_argv=("-c", RELAY, str(path)),
        )
        self._boot_fd = settings.boot_fd
        self.supervisor = Supervisor(settings, log.log, Instance(data_dir))
        self.heard: list[msgspec.Struct] = []
        self._channel: Channel[SupervisorToHerder] | None = None

    async def connect(self) -> list[TaskReport]:
        """Wait for the next herder process; the snapshot that it is greeted with."""
        if self._channel is not None:
            self._channel.close()
        while True:
            try:
                peer, _ = self._ear.accept()
                break
            except BlockingIOError:
                await asyncio.sleep(0.01)
        with peer:
            peer.setblocking(True)
            _, descriptors, _, _ = socket.recv_fds(peer, 1, 1)
        sock = socket.socket(fileno=descriptors[0])
        sock.setblocking(False)
        self._channel = Channel(sock, SupervisorToHerder)
        self.heard.clear()
        await self.until(lambda: any(isinstance(m, SnapshotEnd) for m in self.heard))
        return [m.report for m in self.heard if isinstance(m, TaskSnapshot)]

    async def until(self, condition: Callable[[], object]) -> None:
        """Hear what the supervisor says until the condition holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"not in time, heard {self.heard[-10:]}"
            self._hear()
            await asyncio.sleep(0.005)

    def _hear(self) -> None:
        assert self._channel is not None
        while True:
            try:
                received = self._channel.receive()
            except BlockingIOError:
                return
            if received is None:
                return
            for fd in received[1]:
                os.close(fd)
            self.heard.append(received[0])

    def say(self, message: msgspec.Struct, *descriptors: int) -> None:
        """Say something; the descriptors are closed here."""
        assert self._channel is not None
        self._channel.send(message, descriptors)
        for fd in descriptors:
            os.close(fd)

    def desire(self, number: int, config_hash: str = "a", **keys: str) -> None:
        """Want a task of a connector that finds nothing to read."""
        config = {
            "name": "calm",
            "connector.class": "misbehaving.MisbehavingConnector",
            "orders.dir": str(self.data_dir),
            "task.name": f"calm-{number}",
            **keys,
        }
        assignment = TaskAssignment(
            "calm", number, "source", WORKER, config, config, str(self.data_dir)
        )
        policy = RestartPolicy(delay=self.delay, delay_max=self.delay)
        supervision = Supervision(policy, Deadlines(stop=2.0))
        desire = Desire("calm", number, config_hash, paused=False, supervision=supervision)
        self.say(desire, seal(assignment, "assignment"))

    def want(self, *numbers: int, count: int | None = None) -> None:
        """Tell a whole set of tasks."""
        self.say(SyncBegin(1))
        for number in numbers:
            self.desire(number)
        self.say(SyncEnd(1, len(numbers) if count is None else count))
        self.say(HerderReady())

    def plan(self, token: int, deadline: float) -> socket.socket:
        """Want a plan child; what it answers comes out of the socket."""
        ours, theirs = Channel.pair()
        request = PlanRequest("plugins", WORKER, {}, str(self.data_dir))
        self.say(Plan(token, "plan", deadline), theirs.detach(), seal(request, "request"))
        return ours

    # ---- what was said

    def events(self, number: int) -> list[TaskEvent]:
        """Events of one task, in order."""
        events = [m for m in self.heard if isinstance(m, TaskEvent)]
        return [event for event in events if event.report.task == number]

    def names(self, number: int) -> list[str]:
        """The same, names alone."""
        return [event.event for event in self.events(number)]

    async def running(self, *numbers: int) -> list[TaskReport]:
        """Wait until these tasks were told to be RUNNING last; their reports."""
        await self.until(
            lambda: all((self.names(n) or [""])[-1] in ("running", "note") for n in numbers)
        )
        return [self.events(number)[-1].report for number in numbers]

    def close(self) -> None:
        """Give everything back."""
        self._ear.close()
        os.close(self._boot_fd)
        if self._channel is not None:
            self._channel.close()
