"""What systemd hears."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.supervisor.notify import Notifier


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
    notifier.stopping()
    notifier.close()

    assert heard(ear) == [b"READY=1", b"STOPPING=1"]


def test_the_watchdog_is_fed_only_when_somebody_watches(ear: socket.socket) -> None:
    quiet, watched = Notifier(ear.getsockname()), Notifier(ear.getsockname(), watchdog=10.0)
    quiet.alive()
    watched.alive()
    quiet.close()
    watched.close()

    assert heard(ear) == [b"WATCHDOG=1"]


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
        notifier.alive()
        notifier.stopping()
        notifier.close()
        notifier.ready()


def test_a_listener_that_does_not_read_never_blocks_the_supervisor(ear: socket.socket) -> None:
    notifier = Notifier(ear.getsockname(), watchdog=1.0)
    for _ in range(5000):
        notifier.alive()
    notifier.close()

    assert heard(ear)[0] == b"WATCHDOG=1"


def test_variables_of_systemd_are_understood(
    ear: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", ear.getsockname())
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    meant_for_another = Notifier.of_environment()
    meant_for_another.alive()
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    ours = Notifier.of_environment()
    ours.alive()
    ours.close()
    meant_for_another.close()

    assert heard(ear) == [b"WATCHDOG=1"]
