"""Programs that the supervisor executes."""

import errno
import fcntl
import json
import os
import signal
import sys
from typing import Any

import pytest

from engine.supervisor.child import Program, forget_environment, signal_group

REPORT = """
import json, os, signal, sys
def open_fds():
    names = os.listdir("/proc/self/fd")
    return sorted(int(name) for name in names if os.path.exists(f"/proc/self/fd/{name}"))
told = {
    "fds": open_fds(),
    "environment": dict(os.environ),
    "group": os.getpgid(0) == os.getpid(),
    "ignored": [n for n in (1, 2, 15, 17) if signal.getsignal(n) is signal.SIG_IGN],
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "argv": sys.argv[1:],
}
os.write(int(sys.argv[1]), json.dumps(told).encode())
"""


def inherits(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False


def told_by(
    adds: dict[str, str] | None = None, environment: dict[str, str] | None = None
) -> dict[str, Any]:
    """What a program that was executed so finds."""
    read_fd, write_fd = os.pipe()
    argv = [sys.executable, "-c", REPORT, "7"]
    pid = Program(argv, {7: write_fd}, adds or {}, environment).spawn()
    os.close(write_fd)
    with os.fdopen(read_fd, "rb") as pipe:
        told = json.loads(pipe.read())
    assert os.waitpid(pid, 0)[1] == 0
    assert isinstance(told, dict)
    return told


def test_descriptors_that_run_out_on_the_way_leave_none_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    duplicate, left = fcntl.fcntl, [0, 0]

    def once(fd: int, command: int, least: int) -> int:
        if not left:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        left.pop()
        return duplicate(fd, command, least)

    before = set(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "fcntl", once)
        with pytest.raises(OSError, match="Too many open files"):
            Program(["/bin/true"], {0: 0, 1: 1, 2: 2}).spawn()
    assert set(os.listdir("/proc/self/fd")) == before


def test_a_program_gets_its_descriptors_and_no_others() -> None:
    ours = [int(name) for name in os.listdir("/proc/self/fd")]
    launchers = {fd for fd in ours if os.path.exists(f"/proc/self/fd/{fd}") and inherits(fd)}
    extra = os.open(os.devnull, os.O_RDONLY)

    assert set(told_by()["fds"]) == {0, 1, 2, 7} | launchers
    os.close(extra)


def test_a_program_leads_a_group_of_its_own() -> None:
    assert told_by()["group"] is True


def test_signals_that_we_ignore_or_block_are_not_its_business() -> None:
    old = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    try:
        told = told_by()
    finally:
        signal.signal(signal.SIGTERM, old)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])

    assert (told["ignored"], told["blocked"]) == ([], [])


def test_what_systemd_told_us_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    monkeypatch.setenv("WATCHDOG_USEC", "1")
    monkeypatch.setenv("OURS", "kept")

    environment = told_by({"ADDED": "1"})["environment"]

    assert environment["OURS"] == "kept"
    assert environment["ADDED"] == "1"
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & environment.keys()


def test_a_whole_environment_replaces_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "left")

    assert "OURS" not in told_by(environment={"LANG": "C"})["environment"]


def test_descriptors_that_would_overwrite_each_other_do_not() -> None:
    """Two pipes, each meant to get the number that the other has here."""
    pipes = [os.pipe(), os.pipe()]
    first, second = pipes[0][1], pipes[1][1]
    program = f"import os; os.write({second}, b'first'); os.write({first}, b'second')"
    argv = [sys.executable, "-c", program]
    pid = Program(argv, {second: first, first: second}).spawn()
    assert os.waitpid(pid, 0)[1] == 0

    assert [os.read(pipe[0], 99) for pipe in pipes] == [b"first", b"second"]
    for fd in (fd for pipe in pipes for fd in pipe):
        os.close(fd)


def test_a_program_that_is_not_there_leaves_nothing_open() -> None:
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        Program(["/nowhere/program"], {5: 2}).spawn()

    assert set(os.listdir("/proc/self/fd")) == before


def test_a_group_that_is_gone_is_no_error() -> None:
    pid = Program(["/bin/true"]).spawn()
    os.waitpid(pid, 0)

    signal_group(pid, signal.SIGTERM)


def test_a_fork_forgets_what_was_meant_for_the_supervisor_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    monkeypatch.setenv("OTHERS", "stay")
    forget_environment()
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & os.environ.keys()
    assert os.environ["OTHERS"] == "stay"
