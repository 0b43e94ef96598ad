"""What a supervisor leaves to its successor, and who can read it."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import fields

from engine.model.death import Death
from engine.model.exit_status import ExitClass
from engine.model.lifecycle.event import Timer
from engine.model.lifecycle.task_state import TaskState
from engine.model.restart_budget import BudgetLevel
from engine.model.service import Service
from engine.model.state import Condition
from engine.supervisor import handover
from engine.supervisor.child import HANDOVER, Program
from engine.supervisor.handover import (
    Handover,
    HandoverError,
    PipeHandover,
    ProcessHandover,
    ServiceHandover,
    TaskHandover,
    TimerHandover,
)
from engine.wire.herder_message import TaskEvent, TaskReport
from engine.wire.sealed import seal
from engine.wire.task_message import Failing

STATE = TaskState(
    condition=Condition.BACKOFF,
    generation=7 << 32,
    ending=ExitClass.KILLED,
    restart_times=(1.5, 2.5),
    restarts={"killed": 2},
    retry_at=12.5,
    exit_class=ExitClass.CRASH,
)
TASK = TaskHandover(
    connector="c",
    task=3,
    state=STATE,
    slot_fd=20,
    config_fd=21,
    log=PipeHandover(22, 23, b"half a li", b"the end\nhalf a li"),
    process=ProcessHandover(7 << 32, 4711, 24),
    timer=TimerHandover(Timer.RESTART, 7 << 32, 99.25),
    words=Failing(7 << 32, "E: x", "trace", "poll"),
    death=Death(7 << 32, "killed", "killed by SIGKILL", "BACKOFF", 1_700_000_000_000),
)
SERVICE = Service("kafka", ("/bin/java", "-x"), {"A": "b"}, Path("/tmp/k"), "localhost", 9092, "k")
EVENT = TaskEvent(5, "exited", 123, TaskReport("c", 3, 7 << 32, "BACKOFF", "hash"))
WHOLE = Handover(
    version="1.2.3",
    command=("/usr/bin/python3", "-m", "engine"),
    data_dir="/var/lib/engine",
    epoch=7,
    lock_fd=10,
    host="",
    port=8083,
    listener_fd=-1,
    tasks=(TASK,),
    services=(ServiceHandover.of(SERVICE, 42),),
    events=(EVENT,),
    console=b"a line\n",
    budget=(BudgetLevel("c", (1.0, 2), -0.5, 12.5), BudgetLevel(None, (50.0, 100), 3.0, 12.5)),
)


def left(value: object, monkeypatch: pytest.MonkeyPatch, action: str = "take") -> int:
    assert isinstance(value, msgspec.Struct)
    fd = seal(value, "handover")
    monkeypatch.setenv(HANDOVER, f"{action} {fd}")
    return fd


def test_everything_arrives_as_it_was_left(monkeypatch: pytest.MonkeyPatch) -> None:
    left(WHOLE, monkeypatch)
    assert handover.received() == (WHOLE, False)
    assert handover.is_pending()
    assert WHOLE.services[0].service() == SERVICE
    handover.forget()
    assert not handover.is_pending()


def test_every_field_of_a_task_s_state_is_of_a_kind_that_arrives() -> None:
    """A field that cannot be written or read would be found out in somebody's upgrade."""
    arrived = msgspec.msgpack.decode(msgspec.msgpack.encode(STATE), type=TaskState)
    for each in fields(TaskState):
        assert getattr(arrived, each.name) == getattr(STATE, each.name)
        assert type(getattr(arrived, each.name)) is type(getattr(STATE, each.name))


def test_a_check_is_not_a_handover(monkeypatch: pytest.MonkeyPatch) -> None:
    left(WHOLE, monkeypatch, "check")
    assert handover.received() == (WHOLE, True)
    assert not handover.is_pending()
    handover.forget()


@pytest.mark.parametrize("change", [{"format": 99}, {"protocol": 0}])
def test_another_format_is_refused_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, int]
) -> None:
    left(msgspec.structs.replace(WHOLE, **change), monkeypatch)
    with pytest.raises(HandoverError, match=r"engine 1\.2\.3 hands over in .*; restart the serv"):
        handover.received()
    handover.forget()


class Newer(msgspec.Struct):
    """A handover with a field that nobody knows, and without some that are known."""

    version: str = "9"
    format: int = handover.FORMAT
    protocol: int = WHOLE.protocol
    command: tuple[str, ...] = ("x",)
    data_dir: str = "/d"
    epoch: int = 1
    lock_fd: int = 3
    host: str = ""
    port: int | None = None
    listener_fd: int = -1
    invented: str = "later"


def test_fields_may_come_and_go_within_a_format(monkeypatch: pytest.MonkeyPatch) -> None:
    left(Newer(), monkeypatch)
    found, _ = handover.received()
    assert (found.version, found.tasks) == ("9", ())
    handover.forget()


def test_what_must_stay_open_is_named() -> None:
    assert sorted(WHOLE.descriptors()) == [-1, 10, 20, 21, 22, 23, 24]


def test_a_command_that_cannot_be_executed_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    read_fd, write_fd = os.pipe()
    mine = msgspec.structs.replace(
        WHOLE, tasks=(), lock_fd=read_fd, listener_fd=write_fd, services=()
    )
    with pytest.raises(FileNotFoundError):
        handover.execute(["/nowhere/engine"], mine)
    assert not os.get_inheritable(read_fd)
    assert not os.get_inheritable(write_fd)
    os.close(read_fd)
    os.close(write_fd)


def test_a_script_is_executed_by_its_path_and_anything_else_by_the_interpreter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "engine"
    monkeypatch.setattr(sys, "argv", [str(script), "standalone", "w"])
    monkeypatch.setattr(sys, "orig_argv", ["python", str(script), "standalone", "w"])
    as_it_was = (sys.executable, str(script), "standalone", "w")
    assert handover.own_command() == as_it_was
    # gone: said when it is executed
    assert handover.newest_command() == (str(script), "standalone", "w")
    script.write_text("print()\n")
    assert handover.newest_command() == as_it_was
    script.write_text("#!/usr/bin/python3\n")
    assert handover.newest_command() == as_it_was
    script.chmod(0o755)
    assert handover.newest_command() == (str(script), "standalone", "w")


def test_no_child_inherits_what_is_meant_for_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HANDOVER, "take 3")
    read_fd, write_fd = os.pipe()
    pid = Program(["/usr/bin/env"], {1: write_fd}).spawn()
    os.close(write_fd)
    os.waitpid(pid, 0)
    with os.fdopen(read_fd, "rb") as output:
        assert HANDOVER.encode() not in output.read()


_TIMED = """
import signal, sys
from tests.unit.supervisor.test_handover import WHOLE
import msgspec
from engine.supervisor import handover
signal.setitimer(signal.ITIMER_REAL, 60)
empty = msgspec.structs.replace(WHOLE, tasks=(), lock_fd=-1, services=())
handover.execute([sys.executable, "-c", sys.argv[1]], empty)
"""
_ASKED = "import signal; print(signal.getitimer(signal.ITIMER_REAL))"


def test_no_timer_of_ours_goes_on_in_the_program_that_takes_over() -> None:
    argv = [sys.executable, "-c", _TIMED, _ASKED]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "(0.0, 0.0)\n"
