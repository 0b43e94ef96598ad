"""Executing the zygote and the herder.

The first zygote is executed before anything else is imported, let alone an event loop: it gets
ready meanwhile. So this module imports next to nothing. The first herder is forked once there is
what both import, and before anything else is: a third of a start goes into that. Later ones are
executed, as the supervisor has grown by then.
"""

import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from engine.supervisor.child import Program, take_descriptors
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


LaunchHerder = Callable[[int, int], Launched]
"""Starts a herder that prints into the first descriptor and finds its boot message in the second.

Raises ``OSError`` if no process can be made.
"""


class HeadStart:
    """The first zygote and the first herder, on their way.

    Attributes:
        zygote_output: the pipe that it prints into.
        boot_fd: memory for the herder's boot message, which is in it before it is greeted.
        is_taken: a supervisor looks after both.

    Raises:
        OSError: no process can be made; nothing is left then, ``boot_fd`` included.
    """

    herder: Launched
    herder_output: Pipe

    def __init__(self, boot_fd: int) -> None:
        self.is_taken = False
        self.boot_fd = boot_fd
        self._launched: list[Launched] = []
        self._descriptors = [boot_fd]
        try:
            self.zygote_output = self._open_output()
            self.zygote = self._remember(launch_zygote(self.zygote_output[1]))
        except OSError:
            self.end()
            raise

    def start_herder(self, launch: LaunchHerder) -> None:
        """Start the herder, too.

        Raises:
            OSError: no process can be made; nothing is left then, the zygote included.
        """
        try:
            self.herder_output = self._open_output()
            self.herder = self._remember(launch(self.herder_output[1], self.boot_fd))
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
        self.is_taken = True  # by the end
        for each in self._launched:
            os.kill(each.pid, signal.SIGKILL)
            os.waitpid(each.pid, 0)
            each.sock.close()
        for fd in self._descriptors:
            os.close(fd)


def give_head_start() -> HeadStart:
    """Execute the zygote, as a child of the supervisor that this process is to become.

    Raises:
        OSError: no process can be made.
    """
    become_parent()
    return HeadStart(blank(BOOT))


def start_both(herder_argv: Sequence[str], boot_fd: int) -> HeadStart:
    """Execute both.

    Raises:
        OSError: no process can be made.
    """
    head_start = HeadStart(boot_fd)
    head_start.start_herder(lambda output, boot: launch_herder(output, herder_argv, boot))
    return head_start


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


def fork_herder(main: Callable[[Sequence[str]], int], output: int, boot_fd: int) -> Launched:
    """Fork a herder that prints into this pipe; this process has one thread and no event loop yet.

    Args:
        main: what a herder runs, with the arguments of an executed one; its answer is the exit
            code.

    Raises:
        OSError: no process can be made.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    ours.setblocking(False)
    try:
        pid = os.fork()
    except OSError:
        ours.close()
        theirs.close()
        raise
    if not pid:
        _be_herder(main, {1: output, 2: output, _SOCKET_FD: theirs.fileno(), _BOOT_FD: boot_fd})
    theirs.close()
    return Launched(pid, ours)


def _be_herder(main: Callable[[Sequence[str]], int], descriptors: dict[int, int]) -> NoReturn:
    """What an execution would do. Objects whose descriptors are closed here live on, unused."""
    code = 1
    try:
        os.setpgid(0, 0)
        take_descriptors(descriptors)
        code = main((str(_SOCKET_FD), str(_BOOT_FD)))
    except BaseException:  # noqa: BLE001 (as an interpreter does, whose place this takes)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


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
