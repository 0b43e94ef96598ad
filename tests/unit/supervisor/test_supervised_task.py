"""What a task tells of itself, and what it does whatever becomes of the telling."""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.model.death import Death
from engine.model.exit_status import ExitClass, ExitStatus
from engine.model.lifecycle.event import Wanted
from engine.model.lifecycle.task_state import TaskState
from engine.model.restart_policy import RestartPolicy
from engine.model.slot import LONGEST_COMMITTED, SLOT_BYTES
from engine.model.state import Condition
from engine.model.supervision import Supervision
from engine.model.task_id import TaskId
from engine.supervisor.cgroups import Cgroups
from engine.supervisor.fork_request import ForkRequest
from engine.supervisor.memory_use import OomKills
from engine.supervisor.supervised_task import Host, SupervisedTask
from engine.wire.channel import MAX_MESSAGE_BYTES, Channel
from engine.wire.herder_message import SupervisorToHerder, TaskEvent, TaskReport, TaskSnapshot
from engine.wire.task_message import Failing, TaskCondition
from tests.unit.supervisor.conditions import until
from tests.unit.supervisor.conftest import ReadLog

WIDE = "\U0001d11e"
"""A character of four bytes."""


class PlayedHost(SimpleNamespace):
    """A supervisor whose zygote makes nothing; remembers what it was asked for and told."""

    def __init__(self, read_log: ReadLog, data_dir: Path) -> None:
        (data_dir / "logs").mkdir()
        self.asked: list[ForkRequest] = []
        super().__init__(
            log=read_log.log,
            reaper=SimpleNamespace(is_watched=lambda _pid: False),
            zygote=SimpleNamespace(submit=self.asked.append),
            cgroups=Cgroups(read_log.log, data_dir, "off"),
            oom_kills=OomKills(),
        )
        self.told: list[tuple[str, TaskReport, Death | None]] = []
        self.on_told: Callable[[str], None] = lambda _event: None

    def next_token(self) -> int:
        return 1

    def turn_of(self, _task: SupervisedTask) -> float:
        return 0.0

    def remember(self, _task: SupervisedTask) -> None:
        pass

    def task_changed(self, task: SupervisedTask, event: str) -> None:
        self.told.append((event, task.report(), task.death))
        self.on_told(event)

    def levels_of(self, _connector: str) -> Mapping[str, str]:
        return {}

    def keep_output(self, *_: Any) -> None:
        pass


def sent(message: TaskEvent | TaskSnapshot) -> Any:
    """A message after its way through a socket."""
    left, right = Channel.pair()
    with left, right:
        left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MAX_MESSAGE_BYTES)
        Channel(left, SupervisorToHerder).send(message)
        channel: Channel[SupervisorToHerder] = Channel(right, SupervisorToHerder)
        received = channel.receive()
    assert received is not None
    return received[0]


def fill(task: SupervisedTask) -> None:
    """Everything that can be told of a process at its longest, and half as long again."""
    os.ftruncate(task.slot_fd, SLOT_BYTES)
    os.pwrite(task.slot_fd, WIDE.encode() * 50_000, SLOT_BYTES)
    task.slot.take(WIDE * 1000)
    task.slot.tell_committed("before", b"[%s1]" % (b"1.," * (LONGEST_COMMITTED // 3 - 1)))
    task.slot.tell_committed("after", b"[%s1]" % (b"1.," * (LONGEST_COMMITTED // 3 - 1)))
    for _ in range(2):
        line = '\x1e{"event":"%s","level":"error"}\n' % (WIDE * 4000)
        os.write(task.log.write_fd, line.encode())
    task._hear(TaskCondition(task.state.generation, WIDE * 9_000))
    task._hear(Failing(task.state.generation, WIDE * 9_000, WIDE * 25_000, "put", WIDE * 2_000))


@pytest.mark.parametrize("ending", [None, ExitClass.OPERATOR, ExitClass.UNRESPONSIVE])
def test_the_longest_that_can_be_told_of_a_task_fits_into_a_message(
    tmp_path: Path, read_log: ReadLog, ending: ExitClass | None
) -> None:
    async def body() -> None:
        host = PlayedHost(read_log, tmp_path)
        task = SupervisedTask(cast("Host", host), TaskId(WIDE * 4096, 0), tmp_path, 1 << 60)
        now = asyncio.get_running_loop().time()
        task.state = TaskState(
            generation=1 << 60, condition=Condition.RUNNING, is_wanted=True,
            wanted_hash="h" * 64, process_hash="h" * 64, ending=ending,
            supervision=Supervision(RestartPolicy(window=1e6, max_restarts=1000, delay=60.0)),
            restart_times=tuple(now - each for each in range(998)), failures=998,
            restarts={str(each): 1 << 60 for each in ExitClass},
            trace=WIDE * 20_000, stall=WIDE * 1000, ending_words=ending and "silent " * 30,
        )  # fmt: skip
        task._process.group = None
        fill(task)

        task._swept(task.state.generation, ExitStatus(code=70), "")

        assert "exited" in [event for event, _, _ in host.told]
        for event, report, death in host.told:
            message = TaskEvent(1 << 62, event, 1 << 62, report, death)
            assert sent(message) == message
        assert task.death is not None
        assert len((task.death.traceback or "").encode()) > 40_000
        assert len((task.death.stacks or "").encode()) > 30_000
        snapshot = TaskSnapshot(task.report(), task.death)
        assert sent(snapshot) == snapshot
        for request in host.asked:
            request.on_failed("no memory")
        task.close()

    asyncio.run(body())


def test_a_task_whose_end_cannot_be_told_is_started_again_all_the_same(
    tmp_path: Path, read_log: ReadLog
) -> None:
    async def body() -> None:
        host = PlayedHost(read_log, tmp_path)
        task = SupervisedTask(cast("Host", host), TaskId("orders", 0), tmp_path)
        policy = RestartPolicy(delay=0.01, jitter=0.0)
        task.handle(Wanted("a", is_paused=False, supervision=Supervision(policy)))

        def tell(event: str) -> None:
            if event == "exited":
                raise ValueError("nobody hears it")

        host.on_told = tell
        told: list[Any] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: told.append(context["exception"]))
        host.asked[0].on_failed("no memory")
        assert [str(error) for error in told] == ["nobody hears it"]

        await until(lambda: len(host.asked) == 2)
        host.on_told = lambda _event: None
        host.asked[1].on_failed("no memory")
        task.close()

    asyncio.run(body())


@pytest.mark.parametrize(
    "broken",
    [
        "engine.supervisor.task_process.kill_strays",
        "engine.supervisor.stacks.Stacks.read",
        "engine.supervisor.log_pipe.LogPipe.take_last_words",
    ],
)
def test_a_task_is_started_again_though_nobody_can_find_out_what_it_left(
    tmp_path: Path, read_log: ReadLog, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(*_: object) -> Any:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    async def body() -> None:
        host = PlayedHost(read_log, tmp_path)
        task = SupervisedTask(cast("Host", host), TaskId("orders", 0), tmp_path)
        policy = RestartPolicy(delay=0.01, jitter=0.0)
        task.handle(Wanted("a", is_paused=False, supervision=Supervision(policy)))
        monkeypatch.setattr(broken, fail)

        host.asked[0].on_failed("no memory")

        await until(lambda: len(host.asked) == 2)
        assert any("UnicodeDecodeError" in event.get("error", "") for event in read_log.events())
        monkeypatch.undo()
        host.asked[1].on_failed("no memory")
        task.close()

    asyncio.run(body())
