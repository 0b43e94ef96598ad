"""Executing the zygote and the herder.

Needs no event loop: the first of each are executed before the supervisor has imported the rest of
itself, and get ready meanwhile.
"""

import os
import socket
import sys
from dataclasses import dataclass
from typing import Final

from engine.supervisor.child import Program
from engine.supervisor.settings import Settings
from engine.wire.channel import Channel

_SOCKET_FD: Final = 3
_BOOT_FD: Final = 4

_ZYGOTE_ENVIRONMENT: Final = {
    "MALLOC_ARENA_MAX": "2",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
"""Less memory for each task, and no threads that an import would start."""

Pipe = tuple[int, int]
"""The reading and the writing end of a pipe."""


@dataclass(frozen=True, slots=True)
class Launched:
    """A program that was executed: its pid and our end of its socket, non-blocking."""

    pid: int
    sock: socket.socket


@dataclass(frozen=True, slots=True)
class HeadStart:
    """The first zygote and the first herder, with the pipes that they print into."""

    zygote: Launched
    zygote_output: Pipe
    herder: Launched
    herder_output: Pipe


def give_head_start(settings: Settings) -> HeadStart:
    """Execute both.

    Raises:
        OSError: no process can be made.
    """
    zygote_output, herder_output = open_output(), open_output()
    return HeadStart(
        launch_zygote(zygote_output[1], settings.preload),
        zygote_output,
        launch_herder(herder_output[1], settings),
        herder_output,
    )


def open_output() -> Pipe:
    """A pipe for what a program prints."""
    return os.pipe2(os.O_CLOEXEC)


def launch_zygote(output: int, preload: tuple[str, ...]) -> Launched:
    """Execute a zygote that prints into this pipe.

    Raises:
        OSError: no process can be made.
    """
    argv = [
        sys.executable, "-P", "-m", "engine.task.zygote",
        str(_SOCKET_FD), str(os.getpid()), *preload,
    ]  # fmt: skip
    return _launch(argv, {1: output, 2: output}, _ZYGOTE_ENVIRONMENT)


def launch_herder(output: int, settings: Settings) -> Launched:
    """Execute a herder that prints into this pipe.

    Raises:
        OSError: no process can be made.
    """
    numbers = {"{socket}": str(_SOCKET_FD), "{boot}": str(_BOOT_FD)}
    argv = [sys.executable, *(numbers.get(a, a) for a in settings.herder_argv)]
    descriptors = {1: output, 2: output, _BOOT_FD: settings.boot_fd}
    return _launch(argv, descriptors, {"MALLOC_ARENA_MAX": "2"})


def _launch(argv: list[str], descriptors: dict[int, int], adds: dict[str, str]) -> Launched:
    ours, theirs = Channel.pair()
    ours.setblocking(False)
    try:
        pid = Program(argv, {**descriptors, _SOCKET_FD: theirs.fileno()}, adds).spawn()
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    return Launched(pid, ours)
