"""Programs that the supervisor executes: the zygote, the herder, an embedded broker."""

import contextlib
import fcntl
import os
import signal
from collections.abc import Mapping, Sequence

HANDOVER = "ENGINE_HANDOVER"
"""See :mod:`engine.supervisor.handover`."""

_OURS = (
    "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", HANDOVER,
)  # fmt: skip

_RESET = (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)


class Program:
    """What to execute.

    Args:
        argv: the program's path, then its arguments.
        descriptors: number in the child → descriptor here; nothing else is inherited, and standard
            input is empty unless it is among them.
        adds: additions to our own environment.
        environment: the whole environment instead.
    """

    def __init__(
        self,
        argv: Sequence[str],
        descriptors: Mapping[int, int] | None = None,
        adds: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.argv = argv
        self.descriptors = descriptors or {}
        self.adds = adds or {}
        self.environment = environment

    def spawn(self) -> int:
        """Execute it in a process group of its own; the pid.

        Raises:
            OSError: there is no such program, or no process can be made.
        """
        moved = _out_of_the_way(self.descriptors)
        empty = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
        actions = [empty, *((os.POSIX_SPAWN_DUP2, fd, to) for to, fd in moved.items())]
        try:
            return os.posix_spawn(
                self.argv[0],
                list(self.argv),
                {**(_inherited() if self.environment is None else self.environment), **self.adds},
                file_actions=actions,
                setpgroup=0,
                setsigmask=(),
                setsigdef=_RESET,
            )
        finally:
            for fd in moved.values():
                os.close(fd)


def take_descriptors(descriptors: Mapping[int, int]) -> None:
    """In a fork: what :class:`Program` says of them.

    Raises:
        OSError: there are not enough of them.
    """
    moved = _out_of_the_way(descriptors)
    os.dup2(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), 0)
    for to, fd in moved.items():
        os.dup2(fd, to)
    os.closerange(max(descriptors) + 1, os.sysconf("SC_OPEN_MAX"))


def _out_of_the_way(descriptors: Mapping[int, int]) -> dict[int, int]:
    """Copies of them: one that is to be copied could be the target of an earlier step."""
    least = 64 + len(descriptors) + 3
    moved: dict[int, int] = {}
    try:
        for to, fd in descriptors.items():
            moved[to] = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, least)
    except OSError:
        for fd in moved.values():
            os.close(fd)
        raise
    return moved


def _inherited() -> dict[str, str]:
    """The environment without what was meant for this process alone."""
    return {k: v for k, v in os.environ.items() if k not in _OURS}


def forget_environment() -> None:
    """In a fork: the same."""
    for name in _OURS:
        os.environ.pop(name, None)


def signal_group(pid: int, number: signal.Signals) -> None:
    """Signal a child's process group; the child must not have been reaped."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)
