"""Signals to processes of one engine, and to nobody else's.

A pid is a number that the kernel gives to somebody else one day, and one that a remote engine tells
is anybody's here. So a process is held by a pidfd first; then it is looked whether what is held is
a child of the supervisor and calls itself what it should; and the signal goes to what is held.
"""

import contextlib
import os
import signal
from collections.abc import Iterator

import psutil


class NotOursError(Exception):
    """A process is not what it was said to be; the text is one line."""


@contextlib.contextmanager
def held(pid: int) -> Iterator[int]:
    """A descriptor of a process.

    Raises:
        NotOursError: it has ended.
    """
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        raise NotOursError(f"pid {pid} has ended") from None
    try:
        yield fd
    finally:
        os.close(fd)


def send(pid: int, number: signal.Signals, supervisor: int, title: str) -> None:
    """Send a signal to a child of the supervisor.

    Args:
        title: what its command line must have in it.

    Raises:
        NotOursError: it has ended, or it is another process by now.
        PermissionError: this user may not.
    """
    with held(pid) as fd:
        check(pid, supervisor, title)
        try:
            signal.pidfd_send_signal(fd, number)
        except ProcessLookupError:
            raise NotOursError(f"pid {pid} has ended") from None


def check(pid: int, supervisor: int, title: str) -> None:
    """See whether a process is the child of the supervisor that it was said to be.

    Raises:
        NotOursError: it is not.
    """
    try:
        process = psutil.Process(pid)
        parent, command = process.ppid(), " ".join(process.cmdline())
    except psutil.Error:
        raise NotOursError(f"pid {pid} has ended") from None
    if parent != supervisor:
        raise NotOursError(f"pid {pid} is no child of the supervisor, pid {supervisor}")
    if title not in command:
        raise NotOursError(f"pid {pid} is not {title!r} but {command[:80]!r}")


def child_with(supervisor: int, title: str) -> int | None:
    """The pid of the supervisor's child whose command line has this in it; None without one."""
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(supervisor).children():
            with contextlib.suppress(psutil.Error):
                if title in " ".join(child.cmdline()):
                    return child.pid
    return None
