"""The first zygote and herder: both, or neither."""

import os
import socket
from collections.abc import Sequence
from functools import partial

import pytest

from engine.supervisor import launch
from engine.supervisor.launch import BOOT, HeadStart, Launched, fork_herder, start_both
from engine.supervisor.strays import children
from engine.wire.blank_memory import blank

HERDER = ("-c", "import socket; socket.socket(fileno=3).recv(1)")


def descriptors() -> set[str]:
    """Ours, without the one that lists them."""
    return {name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")}


def test_a_head_start_that_comes_to_nothing_leaves_nothing() -> None:
    before = descriptors()
    head_start = start_both(HERDER, blank(BOOT))
    born = {head_start.zygote.pid, head_start.herder.pid}
    assert born <= set(children())

    head_start.end()

    assert not born & set(children())
    assert descriptors() <= before


@pytest.mark.parametrize("failing", ["launch_zygote", "launch_herder"])
def test_whatever_cannot_be_made_takes_along_what_was(
    monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """The zygote is there already when the herder cannot be executed."""
    before = descriptors()
    born: list[int] = []
    real = launch._launch

    def launching(argv: list[str], *others: dict[int, int]) -> Launched:
        is_herder = "engine.task.zygote" not in argv
        if is_herder == (failing == "launch_herder"):
            argv = ["/nowhere/python", *argv[1:]]
        made: Launched = real(argv, *others)  # type: ignore[arg-type]
        born.append(made.pid)
        return made

    monkeypatch.setattr(launch, "_launch", launching)
    with pytest.raises(FileNotFoundError):
        start_both(HERDER, blank(BOOT))
    assert len(born) == (failing == "launch_herder")
    assert not set(born) & set(children())
    assert descriptors() <= before


def tell(argv: Sequence[str]) -> int:
    """What a forked herder has: descriptors, a group; then fail."""
    sock, boot_fd = socket.socket(fileno=int(argv[0])), int(argv[1])
    numbers = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))
    leads = os.getpgrp() == os.getpid()
    sock.send(f"{numbers[:5]} {len(numbers)} leads={leads}".encode())
    os.pwrite(boot_fd, b"boot", 0)
    raise ValueError("told")


def test_a_forked_herder_has_the_descriptors_of_an_executed_one_and_no_others() -> None:
    before = descriptors()
    head_start = HeadStart(blank(BOOT))
    head_start.start_herder(partial(fork_herder, tell))
    sock = head_start.herder.sock
    sock.setblocking(True)
    told = sock.recv(1000).decode()
    assert told == "[0, 1, 2, 3, 4] 6 leads=True"  # the sixth lists them
    assert sock.recv(1000) == b""
    assert os.pread(head_start.boot_fd, 4, 0) == b"boot"
    ended = os.waitid(os.P_PID, head_start.herder.pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    assert (ended.si_code, ended.si_status) == (os.CLD_EXITED, 1)
    head_start.end()
    assert descriptors() <= before
