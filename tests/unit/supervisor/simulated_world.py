"""A supervisor in a world without processes: real messages over real sockets, time as it pleases.

Zygote, tasks and herders are played in this process. Between them and the supervisor stands a
network that keeps every message until the test lets it through, loses it, or says it twice.
"""

import asyncio
import collections
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast
from unittest import mock

from engine.model.deadlines import Deadlines
from engine.model.exit_status import ExitStatus
from engine.model.restart_policy import RestartPolicy
from engine.model.slot import SLOT_BYTES, Slot
from engine.model.supervision import Supervision
from engine.model.task_id import TaskId
from engine.supervisor.instance import Instance
from engine.supervisor.launch import Launched
from engine.supervisor.log import Console, Log
from engine.supervisor.settings import Settings
from engine.supervisor.supervisor import Supervisor
from engine.task.runtime import TaskRuntime
from engine.wire.channel import Channel
from engine.wire.herder_message import (
    Ack,
    Desire,
    Drop,
    HerderReady,
    SnapshotEnd,
    SupervisorToHerder,
    SyncBegin,
    SyncEnd,
    TaskEvent,
    TaskReport,
    TaskSnapshot,
    Welcome,
)
from engine.wire.sealed import seal, unseal
from engine.wire.task_message import SupervisorToTask, TaskAssignment
from engine.wire.zygote_message import Fork, Forked, ForkFailed, SupervisorToZygote, ZygoteReady
from tests.unit.supervisor.simulated_network import Link, close_all
from tests.unit.supervisor.simulated_process import FIRST_PID, PlayedReaper, Process
from tests.unit.supervisor.virtual_loop import VirtualLoop

LOCK_PATIENCE, OBEYS_AFTER = 10.0, 0.2
SUPERVISION = Supervision(
    RestartPolicy("always", delay=0.1, delay_max=1.0),
    Deadlines(start=20.0, stop=2.0, stop_max=3.0),
)


class World:
    """Everything around a supervisor.

    Attributes:
        wanted: what the herder wants: task number → mark of its configuration, and paused or not.
        has_lost_births: a birth was hidden or doubled, so that nobody can know of that process.
    """

    def __init__(self, folder: Path) -> None:
        self.loop = VirtualLoop()
        self.processes: dict[int, Process] = {}
        self.wanted: dict[int, tuple[str, bool]] = {}
        self.reports: dict[int, TaskReport] = {}
        self.has_lost_births = False
        self.fork_fates: collections.deque[str] = collections.deque()
        self._folder = folder
        self._served: set[int] = set()
        self._patches = ExitStack()
        self._log_fd = os.open(folder / "log", os.O_WRONLY | os.O_CREAT)
        for target, played in self._played().items():
            self._patches.enter_context(mock.patch(target, played))
        settings = Settings(folder / "data", herder_argv=("played",), spares=0, cgroups="off")
        log = Log(Console(self._log_fd), as_json=True, level="error")
        self.supervisor = self.loop.run_until_complete(self._begin(settings, log))
        self.reaper = cast("PlayedReaper", self.supervisor.reaper)

    def _played(self) -> Mapping[str, Any]:
        at = "engine.supervisor"
        return {
            f"{at}.supervisor.Reaper": lambda: PlayedReaper(self.processes),
            f"{at}.zygote.launch_zygote": lambda _fd: self._launch("zygote"),
            f"{at}.herder_process.launch_herder": lambda *_: self._launch("herder"),
            f"{at}.task_process.kill_strays": self._kill_strays,
            f"{at}.supervisor.children": list,
            **{
                f"{at}.{module}.signal_group": self.signal
                for module in ("zygote", "herder_process", "task_process")
            },
            "signal.pidfd_send_signal": self.signal,
        }

    async def _begin(self, settings: Settings, log: Log) -> Supervisor:
        supervisor = Supervisor(settings, log, Instance(settings.data_dir))
        supervisor.zygote.start()
        supervisor._herder.start(supervisor._greet, supervisor._hear, None)
        supervisor._watch_over()
        return supervisor

    def run(self, seconds: float) -> None:
        """Let time pass; everybody but the network goes on."""
        ends = self.loop.now + seconds
        while True:
            step = min(0.5, max(0.0, ends - self.loop.now))
            self.loop.run_until_complete(asyncio.sleep(step))
            self._turn()
            if self.loop.now >= ends:
                return

    def _turn(self) -> None:
        """Everybody does what he can."""
        for process in list(self.processes.values()):
            if process.is_alive and process.link is not None:
                process.link.pump()
                if process.runtime is not None:
                    self._task_turns(process, process.runtime)
                    process.link.pump()

    def live(self, kind: str) -> list[Process]:
        """Processes of one kind."""
        return [p for p in self.processes.values() if p.is_alive and p.kind == kind]

    def links(self) -> Iterator[tuple[Link, str]]:
        """Links with something on its way, and in which direction."""
        for process in self.processes.values():
            if process.is_alive and process.link is not None:
                for direction in ("up", "down"):
                    if getattr(process.link, direction):
                        yield process.link, direction

    # ---- processes ----------------------------------------------------------------------------

    def _process(self, kind: str, **more: Any) -> Process:
        process = Process(FIRST_PID + len(self.processes), kind, **more)
        self.processes[process.pid] = process
        return process

    def _launch(self, kind: str) -> Launched:
        ours, theirs = Channel.pair()
        ours.setblocking(False)
        process = self._process(kind)
        receives = SupervisorToZygote if kind == "zygote" else SupervisorToHerder
        self._connect(process, theirs, receives)
        return Launched(process.pid, ours)

    def _connect(self, process: Process, outer: socket.socket, receives: Any) -> None:
        """Put the network between a process and the supervisor."""
        inner, own = Channel.pair()
        for each in (inner, outer, own):
            each.setblocking(False)
        process.link = Link(inner, outer)
        process.channel = Channel(own, receives)

    def signal(self, pid: int, number: signal.Signals) -> None:
        """What a signal does: SIGKILL always ends, SIGTERM whoever obeys."""
        process = self.processes[pid]
        if not process.is_alive:
            return
        if number == signal.SIGKILL:
            self.exit(process, ExitStatus(signal=9))
        elif number == signal.SIGTERM and not process.is_stubborn:
            self.loop.call_later(OBEYS_AFTER, self.exit, process, ExitStatus(code=0))

    def exit(self, process: Process, status: ExitStatus) -> None:
        """A process ends; what it has said by now arrives, its parent hears of it later."""
        if not process.is_alive:
            return
        process.is_alive, process.status, process.has_lock = False, status, False
        if process.runtime is not None:
            process.runtime.slot.release()
            process.runtime = None
        if process.link is not None and process.channel is not None:
            process.link.pump()
            while process.link.up:
                process.link.deliver("up")
            process.channel.close()
            process.link.close()
        self.loop.call_soon(self.reaper.ended, process.pid)

    def _kill_strays(self, title: str, _slot: str, is_known: Callable[[int], bool]) -> int:
        strays = [p for p in self.live("task") if p.title == title and not is_known(p.pid)]
        for process in strays:
            self.exit(process, ExitStatus(signal=9))
        return len(strays)

    # ---- the zygote ---------------------------------------------------------------------------

    def hear_as_zygote(self, zygote: Process) -> None:
        """Do what the oldest message that has arrived says."""
        channel = zygote.channel
        assert channel is not None
        with contextlib.suppress(BlockingIOError):
            received = channel.receive()
            if received is None:
                return
            message, fds = received
            if isinstance(message, Fork):
                self._fork(channel, message, fds)
            else:
                channel.send(ZygoteReady(zygote.pid))

    def _fork(self, channel: "Channel[Any]", fork: Fork, fds: list[int]) -> None:
        watched = [
            p for p in self.live("task")
            if p.title == fork.title and self.reaper.is_watched(p.pid)
        ]  # fmt: skip
        is_repeated = fork.token in self._served
        self._served.add(fork.token)
        assert not watched or is_repeated, "asked for a second process beside one that lives"
        fate = self.fork_fates.popleft() if self.fork_fates else "good"
        if fate == "fails":
            close_all(fds)
            channel.send(ForkFailed(fork.token, "fork: Cannot allocate memory"))
            return
        process = self._process("task", title=fork.title, generation=fork.generation)
        process.is_stubborn = fate == "hidden"  # else it would end with its control socket
        self._be_born(process, fds)
        if fate == "hidden":
            self.has_lost_births = True
            channel.send(ForkFailed(fork.token, "the process between could not fork"))
        else:
            self.has_lost_births |= is_repeated
            channel.send(Forked(fork.token, process.pid))

    # ---- tasks --------------------------------------------------------------------------------

    def _be_born(self, process: Process, fds: list[int]) -> None:
        control_fd, log_fd, config_fd, slot_fd = fds
        self._connect(process, socket.socket(fileno=control_fd), SupervisorToTask)
        assert process.channel is not None
        slot = Slot(memoryview(bytearray(os.pread(slot_fd, SLOT_BYTES, 0))))
        assignment = unseal(config_fd, TaskAssignment)
        process.runtime = TaskRuntime(assignment, process.generation, slot, process.channel)
        process.is_paused = assignment.start_paused
        process.waits_since = self.loop.now
        close_all([log_fd, config_fd, slot_fd])

    def _task_turns(self, process: Process, runtime: TaskRuntime) -> None:
        if not process.has_lock:
            others = [p for p in self.live("task") if p.title == process.title and p.has_lock]
            if others and self.loop.now - process.waits_since < LOCK_PATIENCE:
                return
            for other in others:
                self.exit(other, ExitStatus(signal=9))
            process.has_lock = True
            runtime.ready()
        runtime.take_orders()
        if runtime.is_paused is not process.is_paused:
            process.is_paused = runtime.is_paused
            runtime.paused_changed(paused=process.is_paused)
        if runtime.is_stopping and not process.is_stubborn:
            self.loop.call_later(OBEYS_AFTER, self.exit, process, ExitStatus(code=0))

    # ---- the herder ---------------------------------------------------------------------------

    def hear_as_herder(self, herder: Process) -> None:
        """Hear the oldest message that has arrived; know the whole set when all was told."""
        channel = herder.channel
        assert channel is not None
        try:
            received = channel.receive()
        except BlockingIOError:
            return
        if received is None:
            return
        message, fds = received
        close_all(fds)
        match message:
            case Welcome():
                self.reports.clear()
            case TaskSnapshot(report):
                self.reports[report.task] = report
            case TaskEvent(seq, event, _, report):
                self.reports[report.task] = report
                if event == "gone":
                    del self.reports[report.task]
                channel.send(Ack(seq))
            case SnapshotEnd():
                self._sync(channel)
            case _:
                pass

    def _sync(self, channel: "Channel[Any]") -> None:
        channel.send(SyncBegin(1))
        for number in self.wanted:
            self._desire(channel, number)
        for number in self.reports.keys() - self.wanted.keys():
            channel.send(Drop("c", number))
        channel.send(SyncEnd(1, len(self.wanted)))
        channel.send(HerderReady())

    def want(self, number: int, mark: str, *, is_paused: bool) -> None:
        """The herder wants a task, or wants it otherwise."""
        self.wanted[number] = (mark, is_paused)
        for herder in self.live("herder"):
            assert herder.channel is not None
            self._desire(herder.channel, number)

    def drop(self, number: int) -> None:
        """The herder wants a task no longer."""
        del self.wanted[number]
        for herder in self.live("herder"):
            assert herder.channel is not None
            herder.channel.send(Drop("c", number))

    def _desire(self, channel: "Channel[Any]", number: int) -> None:
        mark, is_paused = self.wanted[number]
        config = {"name": "c", "mark": mark}
        assignment = TaskAssignment(
            "c", number, "source", {}, config, config, str(self._folder), is_paused
        )
        memory = seal(assignment, "assignment")
        channel.send(Desire("c", number, mark, paused=is_paused, supervision=SUPERVISION), [memory])
        os.close(memory)

    # ---- the end ------------------------------------------------------------------------------

    def deliver_all(self, rounds: int = 50) -> None:
        """A network that works."""
        self.run(0)
        for _ in range(rounds):
            waiting = list(self.links())
            if not waiting:
                return
            for link, direction in waiting:
                link.deliver(direction)
            self.listen()
            self.run(0)

    def listen(self) -> None:
        """Zygote and herder hear what has arrived; tasks do so by themselves."""
        for zygote in self.live("zygote"):
            self.hear_as_zygote(zygote)
        for herder in self.live("herder"):
            self.hear_as_herder(herder)
        self._turn()

    def become_calm(self, seconds: float) -> None:
        """Messages arrive from now on, and births are told; so much time passes."""
        self.fork_fates.clear()
        ends = self.loop.now + seconds
        while self.loop.now < ends:
            self.deliver_all()
            self.run(0.5)

    def state_of(self, number: int) -> Any:
        """What the supervisor knows of a task."""
        task = self.supervisor._tasks.get(TaskId("c", number))
        return None if task is None else task.state

    def close(self) -> None:
        """Give everything back."""
        for process in self.processes.values():
            self.exit(process, ExitStatus(signal=9))
        self._patches.close()
        self.loop.run_until_complete(self._end())
        os.close(self._log_fd)
        self.loop.close()

    async def _end(self) -> None:
        supervisor = self.supervisor
        supervisor._herder.close_socket()
        supervisor._herder.close()
        supervisor.zygote.close()
        supervisor.zygote._closed()
        for task in supervisor._tasks.values():
            task._process._close_control()
            task.close()
        supervisor._state_file.end()
        supervisor._records.close()
        os.close(supervisor._instance.lock_fd)
