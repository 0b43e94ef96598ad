"""Executing the zygote and the herder.

The first of each are executed before anything else is imported, let alone an event loop: they get
ready meanwhile. So this module imports next to nothing.
"""

import os
import signal
import socket
import sys
from collections.abc import Sequence

from engine.supervisor.child import Program
from engine.supervisor.parent import become_parent
from engine.wire.blank_memory import blank

BOOT = "herder boot"

_SOCKET_FD = 3
_BOOT_FD = 4

_ZYGOTE_ENVIRONMENT = {
    "MALLOC_ARENA_MAX": "4",
    "MALLOC_TRIM_THRESHOLD_": "16777216",
    "MALLOC_MMAP_THRESHOLD_": "4194304",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
"""Memory that a batch gives back is kept for the next one, and the client's threads do not wait for
each other's; no threads that an import would start."""

Pipe = tuple[int, int]
"""The reading and the writing end of a pipe."""


class Launched:
    """A program that was executed.

    Attributes:
        sock: our end of its socket, non-blocking.
    """

    def __init__(self, pid: int, sock: socket.socket) -> None:
        self.pid = pid
        self.sock = sock


class HeadStart:
    """The first zygote and the first herder, on their way.

    Attributes:
        zygote_output: the pipe that it prints into.
        boot_fd: memory for the herder's boot message, which is in it before it is greeted.
        is_taken: a supervisor looks after both.

    Raises:
        OSError: no process can be made; nothing is left then, ``boot_fd`` included.
    """

    def __init__(self, herder_argv: Sequence[str], boot_fd: int) -> None:
        self.is_taken = False
        self.boot_fd = boot_fd
        self._launched: list[Launched] = []
        self._descriptors = [boot_fd]
        try:
            self.zygote_output = self._open_output()
            self.herder_output = self._open_output()
            self.zygote = self._remember(launch_zygote(self.zygote_output[1]))
            launched = launch_herder(self.herder_output[1], herder_argv, boot_fd)
            self.herder = self._remember(launched)
        except OSError:
            self.end()
            raise

    def _open_output(self) -> Pipe:
        pipe = open_output()
        self._descriptors += pipe
        return pipe

    def _remember(self, launched: Launched) -> Launched:
        self._launched.append(launched)
        return launched

    def end(self) -> None:
        """It came to nothing: end what there is of both, unless they were taken."""
        if self.is_taken:
            return
        for each in self._launched:
            os.kill(each.pid, signal.SIGKILL)
            os.waitpid(each.pid, 0)
            each.sock.close()
        for fd in self._descriptors:
            os.close(fd)


def give_head_start(herder_argv: Sequence[str]) -> HeadStart:
    """Execute both, as children of the supervisor that this process is to become.

    Raises:
        OSError: no process can be made.
    """
    become_parent()
    return HeadStart(herder_argv, blank(BOOT))


def open_output() -> Pipe:
    """A pipe for what a program prints."""
    return os.pipe2(os.O_CLOEXEC)


def launch_zygote(output: int) -> Launched:
    """Execute a zygote that prints into this pipe.

    Raises:
        OSError: no process can be made.
    """
    argv = [
        sys.executable, "-P", "-m", "engine.task.zygote",
        str(_SOCKET_FD), str(os.getpid()),
    ]  # fmt: skip
    return _launch(argv, {1: output, 2: output}, _ZYGOTE_ENVIRONMENT)


def launch_herder(output: int, herder_argv: Sequence[str], boot_fd: int) -> Launched:
    """Execute a herder that prints into this pipe.

    Raises:
        OSError: no process can be made.
    """
    argv = [sys.executable, *herder_argv, str(_SOCKET_FD), str(_BOOT_FD)]
    descriptors = {1: output, 2: output, _BOOT_FD: boot_fd}
    return _launch(argv, descriptors, {"MALLOC_ARENA_MAX": "2"})


def _launch(argv: list[str], descriptors: dict[int, int], adds: dict[str, str]) -> Launched:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    ours.setblocking(False)
    try:
        pid = Program(argv, {**descriptors, _SOCKET_FD: theirs.fileno()}, adds).spawn()
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    return Launched(pid, ours)
