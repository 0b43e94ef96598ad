"""The other end of a herder's socket: starts no tasks, but says what a supervisor would say.

Plans are really forked. Tasks become RUNNING at once, with new generations and slots of their own.
"""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from engine.model.slot import SLOT_BYTES
from engine.model.task_id import TaskId
from engine.task import plan as plan_child
from engine.wire.channel import Channel
from engine.wire.herder_message import (  # fmt: skip
    Ack,
    Desire,
    Drop,
    HerderReady,
    HerderToSupervisor,
    LogLevelsSet,
    Plan,
    PlanEnded,
    Refused,
    Reload,
    Reloaded,
    Remark,
    RestartTask,
    SetLogLevels,
    SnapshotEnd,
    SyncBegin,
    SyncEnd,
    TaskEvent,
    TaskReport,
    TaskSnapshot,
    UpgradeRequested,
    Welcome,
)
from engine.wire.sealed import unseal
from engine.wire.task_message import TaskAssignment  # fmt: skip


class FakeSupervisor:
    """Survives its herders, as the real one does.

    Attributes:
        tasks: what runs.
        assignments: what each task was given last.
        heard: every message, in order.
        is_holding: events of tasks are kept back.
        levels: what it tells a herder of levels of logging.
    """

    def __init__(self, epoch: int = 1) -> None:
        self.epoch = epoch
        self.tasks: dict[TaskId, TaskReport] = {}
        self.assignments: dict[TaskId, TaskAssignment] = {}
        self.heard: list[HerderToSupervisor] = []
        self.levels: list[LogLevelsSet] = []
        self.acknowledged = 0
        self.is_ready = False
        self.ignores_drops = False
        self._slots: dict[TaskId, int] = {}
        self._events: list[TaskEvent] = []
        self._seq = 0
        self._channel: Channel[HerderToSupervisor] | None = None
        self._plans: dict[int, int] = {}

    def connect(self, listener: int | None = None) -> socket.socket:
        """The socket for a new herder, greeted already."""
        ours, theirs = Channel.pair()
        ours.settimeout(0.0)
        self.is_ready = False
        self._channel = Channel(ours, HerderToSupervisor)
        asyncio.get_running_loop().add_reader(ours.fileno(), self._read)
        self._send(Welcome(os.getpid(), self.epoch), [listener] if listener is not None else [])
        for task, report in self.tasks.items():
            self._send(TaskSnapshot(report), [self._slots[task]])
        for levels in self.levels:
            self._send(levels)
        self._send(SnapshotEnd())
        for event in self._events:
            self._send(event)
        return theirs

    def disconnect(self) -> None:
        """Close the socket; the herder is to end."""
        if self._channel is not None:
            asyncio.get_running_loop().remove_reader(self._channel.fileno())
            self._channel.close()
            self._channel = None

    def close(self) -> None:
        """Give everything back."""
        self.disconnect()
        for pid in self._plans.values():
            os.kill(pid, signal.SIGKILL)
        for fd in self._slots.values():
            os.close(fd)

    def _send(self, message: msgspec.Struct, descriptors: list[int] | None = None) -> None:
        if self._channel is not None:
            self._channel.send(message, descriptors or [])

    def _read(self) -> None:
        while self._channel is not None:
            try:
                received = self._channel.receive()
            except BlockingIOError:
                return
            except OSError:
                received = None
            if received is None:
                self.disconnect()
                return
            self.heard.append(received[0])
            self._obey(*received)

    def _obey(self, message: HerderToSupervisor, descriptors: list[int]) -> None:
        match message:
            case Desire():
                self._desire(message, descriptors[0])
            case Drop(connector, number):
                self._drop(TaskId(connector, number))
            case RestartTask(connector, number):
                self._run(TaskId(connector, number))
            case Plan():
                self._plan(message, descriptors)
            case Ack(seq):
                self.acknowledged = seq
                self._events = [event for event in self._events if event.seq > seq]
            case HerderReady():
                self.is_ready = True
            case (
                SyncBegin() | SyncEnd() | Refused() | Reloaded() | Remark() | SetLogLevels()
                | UpgradeRequested()
            ):  # fmt: skip
                pass

    def _desire(self, desire: Desire, memory: int) -> None:
        task = TaskId(desire.connector, desire.task)
        self.assignments[task] = unseal(memory, TaskAssignment)
        os.close(memory)
        present = self.tasks.get(task)
        if present is None:
            self._slots[task] = os.memfd_create("slot")
            os.ftruncate(self._slots[task], SLOT_BYTES)
            self.tasks[task] = TaskReport(*task, self.epoch << 32, "STOPPED", "")
            self._send(TaskSnapshot(self.tasks[task]), [self._slots[task]])
        condition = "PAUSED" if desire.paused else "RUNNING"
        if present is None or present.config_hash != desire.config_hash:
            self._run(task, desire.config_hash, condition)
        elif {present.condition, condition} == {"RUNNING", "PAUSED"}:
            self.tell(task, condition.lower(), condition=condition)

    def _run(
        self, task: TaskId, config_hash: str | None = None, condition: str = "RUNNING"
    ) -> None:
        if task not in self.tasks:
            return
        report = self.tasks[task]
        generation = report.generation + 1
        self.tell(
            task, "starting", condition="STARTING", generation=generation, trace=None,
            config_hash=report.config_hash if config_hash is None else config_hash,
        )  # fmt: skip
        self.tell(task, condition.lower(), condition=condition, pid=1000 + generation % 1000)

    def _drop(self, task: TaskId) -> None:
        if task in self.tasks and not self.ignores_drops:
            self.tell(task, "gone", condition="STOPPED", pid=None)
            del self.tasks[task]
            os.close(self._slots.pop(task))

    def tell(self, task: TaskId, event: str, **changes: Any) -> None:
        """Something happens to a task."""
        report = msgspec.structs.replace(self.tasks[task], **changes)
        self.tasks[task] = report
        self._seq += 1
        self._events.append(TaskEvent(self._seq, event, time.monotonic_ns(), report))
        self._send(self._events[-1])

    def _plan(self, plan: Plan, descriptors: list[int]) -> None:
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                code = plan_child.main(*descriptors)
            finally:
                os._exit(code)
        for fd in descriptors:
            os.close(fd)
        self._plans[plan.token] = pid
        loop = asyncio.get_running_loop()
        pidfd = os.pidfd_open(pid)
        late = loop.call_later(plan.deadline, self._too_late, plan.token)
        loop.add_reader(pidfd, self._plan_ended, plan, pidfd, late)

    def _too_late(self, token: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._plans[token], signal.SIGKILL)

    def _plan_ended(self, plan: Plan, pidfd: int, late: asyncio.TimerHandle) -> None:
        is_late = late.when() <= asyncio.get_running_loop().time()
        late.cancel()
        asyncio.get_running_loop().remove_reader(pidfd)
        os.close(pidfd)
        _pid, status = os.waitpid(self._plans.pop(plan.token), 0)
        problem = f"deadline of {plan.deadline:g} s exceeded" if is_late else None
        if problem is None and status:
            problem = f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
        self._send(PlanEnded(plan.token, problem))

    def reload(self) -> None:
        """Have the connector files read again."""
        self._send(Reload())

    def pids(self) -> dict[str, int | None]:
        """What stands for the processes of the tasks."""
        return {str(task): report.pid for task, report in sorted(self.tasks.items())}

    def named(self, kind: type[msgspec.Struct]) -> list[HerderToSupervisor]:
        """Everything heard of one kind."""
        return [message for message in self.heard if isinstance(message, kind)]


async def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Let the loop turn until the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (the loop itself is what must turn)
            await asyncio.sleep(0.005)


def data_dir_in(path: Path) -> Path:
    """A directory for a herder's files."""
    made = path / "data"
    made.mkdir(exist_ok=True)
    return made
