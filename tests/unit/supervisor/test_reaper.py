"""Ends of real processes: noticed once, reaped, strangers included."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from engine.model.exit_status import ExitStatus
from engine.supervisor.reaper import Reaper
from tests.unit.supervisor.conditions import until

pytestmark = pytest.mark.usefixtures("subreaper")


def spawn(*argv: str) -> int:
    return os.posix_spawnp(argv[0], argv, os.environ)


def spawn_python(program: str) -> tuple[int, int]:
    """A pid, and what reads its output."""
    read_fd, write_fd = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, write_fd, 1)]
    argv = [sys.executable, "-c", program]
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)
    os.close(write_fd)
    return pid, read_fd


def leave_behind(program: str) -> None:
    """A process whose parent ends at once."""
    subprocess.run(["sh", "-c", f"({program}) & :"], check=True)


def is_gone(pid: int) -> bool:
    return not os.path.exists(f"/proc/{pid}")


def is_zombie(pid: int) -> bool:
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return file.read().rpartition(")")[2].split()[0] == "Z"


class Observed:
    """A started reaper and what it has told."""

    def __init__(self) -> None:
        self.reaper = Reaper()
        self.ended: list[tuple[int, ExitStatus]] = []
        self.orphans: list[int] = []
        self.reaper.start(self.orphans.append)

    def watch(self, pid: int, *, kills_group: bool = False) -> int:
        return self.reaper.watch(
            pid, lambda status: self.ended.append((pid, status)), kills_group=kills_group
        )


def observe(body: Callable[[Observed], Coroutine[Any, Any, None]]) -> None:
    """Run a body with a reaper; descriptors must be as before."""

    async def run() -> None:
        observed = Observed()
        before = set(os.listdir("/proc/self/fd"))
        await body(observed)
        assert set(os.listdir("/proc/self/fd")) == before

    asyncio.run(run())


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("exit 0", ExitStatus(code=0)),
        ("exit 3", ExitStatus(code=3)),
        ("kill -9 $$", ExitStatus(signal=signal.SIGKILL)),
        ("kill -TERM $$", ExitStatus(signal=signal.SIGTERM)),
    ],
)
def test_an_end_is_told_once_with_its_status(program: str, expected: ExitStatus) -> None:
    async def body(observed: Observed) -> None:
        pid = spawn("sh", "-c", program)
        observed.watch(pid)
        assert observed.reaper.is_watched(pid)
        await until(lambda: observed.ended)
        observed.reaper.reap()
        assert observed.ended == [(pid, expected)]
        assert not observed.reaper.is_watched(pid)
        assert pid not in observed.orphans

    observe(body)


def test_a_child_that_ended_before_it_was_watched_is_told_too() -> None:
    async def body(observed: Observed) -> None:
        observed.reaper.fork_begins()
        pid = spawn("sh", "-c", "exit 7")
        await until(lambda: is_zombie(pid))
        observed.watch(pid)
        observed.reaper.fork_ends()
        await until(lambda: observed.ended)
        assert observed.ended == [(pid, ExitStatus(code=7))]

    observe(body)


@pytest.mark.parametrize("program", ["exit 3", "exit 0", "kill -SEGV $$"])
def test_f10_an_orphan_is_reaped_and_nothing_else_happens(program: str) -> None:
    async def body(observed: Observed) -> None:
        task = spawn("sleep", "60")
        observed.watch(task)
        # its parent ends at once, so it comes to us
        leave_behind(f"sleep 0.05; {program}")
        await until(lambda: observed.orphans)
        assert len(observed.orphans) == 1
        assert is_gone(observed.orphans[0])
        assert observed.ended == []
        os.kill(task, signal.SIGKILL)
        await until(lambda: observed.ended)

    observe(body)


def test_an_unknown_child_is_not_reaped_while_a_fork_is_pending() -> None:
    """It might be the one whose pid has not been announced yet; its pid must stay its own."""

    async def body(observed: Observed) -> None:
        observed.reaper.fork_begins()
        pid = spawn("sh", "-c", "exit 5")
        await until(lambda: is_zombie(pid))
        observed.reaper.reap()
        assert is_zombie(pid)
        assert observed.orphans == []
        observed.reaper.fork_ends()
        assert observed.orphans == [pid]
        assert is_gone(pid)

    observe(body)


def test_a_known_child_is_told_although_a_fork_is_pending() -> None:
    async def body(observed: Observed) -> None:
        observed.reaper.fork_begins()
        stranger = spawn("sh", "-c", "exit 5")
        await until(lambda: is_zombie(stranger))
        pid = spawn("sh", "-c", "exit 6")
        observed.watch(pid)
        await until(lambda: observed.ended)
        assert observed.ended == [(pid, ExitStatus(code=6))]
        observed.reaper.fork_ends()
        await until(lambda: observed.orphans)

    observe(body)


def test_f08_two_hundred_ends_at_once_are_all_told() -> None:
    async def body(observed: Observed) -> None:
        pids = [spawn("sleep", "60") for _ in range(200)]
        for pid in pids:
            observed.watch(pid)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        await until(lambda: len(observed.ended) == 200)
        assert sorted(pid for pid, _ in observed.ended) == sorted(pids)
        assert {status for _, status in observed.ended} == {ExitStatus(signal=signal.SIGKILL)}

    observe(body)


def test_what_is_left_of_the_group_is_killed_before_the_leader_is_reaped() -> None:
    async def body(observed: Observed) -> None:
        program = (
            "import os, subprocess; os.setsid(); "
            "print(subprocess.Popen(['sleep', '60']).pid, flush=True); os._exit(4)"
        )
        pid, read_fd = spawn_python(program)
        observed.watch(pid, kills_group=True)
        await until(lambda: observed.ended)
        survivor = int(os.read(read_fd, 99))
        os.close(read_fd)
        await until(lambda: observed.orphans)
        assert observed.orphans == [survivor]
        assert observed.ended == [(pid, ExitStatus(code=4))]

    observe(body)


def test_f09_an_inherited_ignored_sigchld_loses_no_status() -> None:
    async def body(observed: Observed) -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        observed.reaper.start(observed.orphans.append)
        pid = spawn("sh", "-c", "exit 9")
        observed.watch(pid)
        await until(lambda: observed.ended)
        assert observed.ended == [(pid, ExitStatus(code=9))]

    observe(body)
