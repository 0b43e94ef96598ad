"""Signals go to processes of the engine alone."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from engine.cli.chaos.processes import NotOursError, child_with, send


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    """A child of this process, whose command line has ``engine: task x-0`` in it."""
    code = "import signal; signal.pause()"
    process = subprocess.Popen([sys.executable, "-c", code, "engine: task x-0"])
    yield process
    process.kill()
    process.wait()


def test_a_child_that_is_what_it_should_be_gets_its_signal(
    child: "subprocess.Popen[bytes]",
) -> None:
    send(child.pid, signal.SIGTERM, os.getpid(), "engine: task x-0")
    assert child.wait(30) == -signal.SIGTERM


def test_anybody_else_is_left_alone(child: "subprocess.Popen[bytes]") -> None:
    with pytest.raises(NotOursError, match="is no child of the supervisor, pid 1"):
        send(child.pid, signal.SIGKILL, 1, "engine: task x-0")
    with pytest.raises(NotOursError, match="is not 'engine: task y-0'"):
        send(child.pid, signal.SIGKILL, os.getpid(), "engine: task y-0")
    assert child.poll() is None


def test_a_pid_that_has_ended_is_nobody() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with pytest.raises(NotOursError, match="has ended"):
        send(ended.pid, signal.SIGKILL, os.getpid(), "")


def test_a_child_is_found_by_its_command_line(child: "subprocess.Popen[bytes]") -> None:
    assert child_with(os.getpid(), "engine: task x-0") == child.pid
    assert child_with(os.getpid(), "engine: task y-0") is None
