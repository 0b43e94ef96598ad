"""What a task leaves behind, told apart from everybody else's children."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.supervisor.strays import children, kill_strays

HOLDS_MEMORY = """
import mmap, os, signal, sys
fd = os.memfd_create(sys.argv[1])
os.ftruncate(fd, 4096)
memory = mmap.mmap(fd, 4096)
print("ready", flush=True)
signal.pause()
"""


@pytest.fixture
def spawned() -> Iterator[list["subprocess.Popen[bytes]"]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def program(spawned: list["subprocess.Popen[bytes]"], mark: str) -> "subprocess.Popen[bytes]":
    """One that was executed by a task with this mark."""
    environment = {**os.environ, "ENGINE_TASK": mark}
    process = subprocess.Popen(["sleep", "60"], env=environment)
    spawned.append(process)
    wait_until_executed(process.pid)
    return process


def fork(spawned: list["subprocess.Popen[bytes]"], slot_name: str) -> "subprocess.Popen[bytes]":
    """One that still maps the slot of its task."""
    argv = [sys.executable, "-c", HOLDS_MEMORY, slot_name]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    spawned.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def wait_until_executed(pid: int) -> None:
    deadline = time.monotonic() + 10
    while b"sleep" not in Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline


def is_killed(process: "subprocess.Popen[bytes]") -> bool:
    return process.wait(10) == -9


def test_programs_and_forks_of_the_task_are_killed_and_nobody_else_is(
    spawned: list["subprocess.Popen[bytes]"],
) -> None:
    own = program(spawned, "task orders-1#7"), fork(spawned, "slot orders-1")
    others = (
        program(spawned, "task orders-10#7"),
        program(spawned, "task orders-2#7"),
        fork(spawned, "slot orders-10"),
        fork(spawned, "slot my orders-1"),
    )

    assert kill_strays("task orders-1", "slot orders-1", lambda _pid: False) == 2

    assert all(is_killed(process) for process in own)
    assert [process.poll() for process in others] == [None] * 4


def test_a_stranger_may_map_files_with_any_name(
    spawned: list["subprocess.Popen[bytes]"],
) -> None:
    stranger = fork(spawned, os.fsdecode(b"no text: \xff\xfe"))
    own = fork(spawned, "slot orders-1")

    assert kill_strays("task orders-1", "slot orders-1", lambda _pid: False) == 1
    assert is_killed(own)
    assert stranger.poll() is None


def test_processes_that_are_watched_are_no_strays(
    spawned: list["subprocess.Popen[bytes]"],
) -> None:
    own = program(spawned, "task orders-1#7")

    assert kill_strays("task orders-1", "slot orders-1", lambda pid: pid == own.pid) == 0
    assert own.poll() is None


def test_children_are_ours_and_nobody_elses(spawned: list["subprocess.Popen[bytes]"]) -> None:
    own = program(spawned, "x")

    assert own.pid in children()
    assert os.getppid() not in children()
    assert os.getpid() not in children()
