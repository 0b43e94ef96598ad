"""What systemd hears."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.supervisor.notify import Notifier, status_of


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield sock


def heard(ear: socket.socket) -> list[bytes]:
    datagrams = []
    while True:
        try:
            datagrams.append(ear.recv(4096))
        except BlockingIOError:
            return datagrams


def test_each_state_is_a_datagram_of_its_own_and_ready_is_said_once(ear: socket.socket) -> None:
    notifier = Notifier(ear.getsockname())
    notifier.ready()
    notifier.ready()
    notifier.stopping(45.5)
    notifier.close()

    assert heard(ear) == [b"READY=1", b"STOPPING=1\nEXTEND_TIMEOUT_USEC=45500000"]


def test_a_reload_says_when_it_began_in_the_same_datagram_and_ends_with_ready(
    ear: socket.socket,
) -> None:
    notifier = Notifier(ear.getsockname())
    notifier.ready()
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    after = time.monotonic_ns() // 1000
    notifier.ready()
    notifier.ready()
    notifier.close()

    ready, reloading, again = heard(ear)
    assert (ready, again) == (b"READY=1", b"READY=1")
    head, _, at = reloading.partition(b"\nMONOTONIC_USEC=")
    assert head == b"RELOADING=1"
    assert before <= int(at) <= after


def test_a_status_is_one_line_and_said_when_it_changes(ear: socket.socket) -> None:
    notifier = Notifier(ear.getsockname())
    for text in ("1 running", "1 running", "two\nlines", "x" * 1000):
        notifier.status(text)
    notifier.close()

    assert heard(ear) == [b"STATUS=1 running", b"STATUS=two lines", b"STATUS=" + b"x" * 500]


def test_a_status_counts_tasks_those_that_run_first() -> None:
    assert status_of({"FAILED": 1, "STOPPING": 2, "RUNNING": 412, "BACKOFF": 3}) == (
        "412 running, 3 backoff, 1 failed, 2 stopping"
    )
    assert status_of({}) == "no tasks"


def test_the_watchdog_is_fed_three_times_a_timeout_and_only_when_somebody_watches(
    ear: socket.socket,
) -> None:
    quiet, watched = Notifier(ear.getsockname()), Notifier(ear.getsockname(), watchdog=30.0)
    for half_seconds in range(120):
        quiet.alive(1000 + half_seconds / 2)
        watched.alive(1000 + half_seconds / 2)
    quiet.close()
    watched.close()

    assert heard(ear) == [b"WATCHDOG=1"] * 6


def test_an_abstract_address_works() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        name = f"engine-test-{os.getpid()}"
        ear.bind(f"\0{name}")
        ear.setblocking(False)
        notifier = Notifier(f"@{name}")
        notifier.ready()
        notifier.close()
        assert heard(ear) == [b"READY=1"]


def test_nothing_happens_where_nobody_listens(tmp_path: Path) -> None:
    for address in (None, "", str(tmp_path / "nobody")):
        notifier = Notifier(address, watchdog=1.0)
        notifier.ready()
        notifier.alive(10.0)
        notifier.reloading()
        notifier.status("x")
        notifier.healthy()
        notifier.stopping(1)
        notifier.close()
        notifier.ready()


def test_a_listener_that_does_not_read_never_blocks_the_supervisor(ear: socket.socket) -> None:
    notifier = Notifier(ear.getsockname(), watchdog=1.0)
    for second in range(5000):
        notifier.alive(1000.0 + second)
    notifier.ready()
    notifier.status("as it is")
    while heard(ear):  # it reads again
        notifier.alive(7000.0)
    notifier.close()


def test_what_a_listener_could_not_take_is_told_when_it_reads_again(ear: socket.socket) -> None:
    notifier = Notifier(ear.getsockname())
    notifier.ready()
    number = 0
    while not notifier._waiting:
        number += 1
        notifier.status(str(number))
    notifier.status("the last one")
    said = heard(ear)
    notifier.alive(1.0)
    said += heard(ear)
    notifier.close()

    assert said == [b"READY=1", *(f"STATUS={n + 1}".encode() for n in range(number)),
                    b"STATUS=the last one"]  # fmt: skip


def test_variables_of_systemd_are_understood(
    ear: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", ear.getsockname())
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    meant_for_another = Notifier.of_environment()
    meant_for_another.alive(10.0)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    ours = Notifier.of_environment()
    ours.alive(10.0)
    ours.close()
    meant_for_another.close()

    assert heard(ear) == [b"WATCHDOG=1"]
