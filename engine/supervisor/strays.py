"""What a task has left behind: processes that escaped its group and were re-parented to us."""

import contextlib
import os
import signal
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


def children() -> list[int]:
    """Pids of our own children, zombies included."""
    own = os.getpid()
    with contextlib.suppress(OSError):
        text = (_PROC / str(own) / "task" / str(own) / "children").read_text(encoding="ascii")
        return [int(pid) for pid in text.split()]
    with contextlib.suppress(OSError):
        return [pid for pid in _pids() if _parent(pid) == own]
    return []


def kill_strays(title: str, slot_name: str, is_known: Callable[[int], bool]) -> int:
    """SIGKILL every unknown child that comes from this task; how many there were.

    A process that was forked and never executed anything still maps the task's slot; one that was
    executed has the task's mark in its environment.
    """
    found = 0
    for pid in children():
        if not is_known(pid) and _comes_from(pid, title, slot_name):
            found += kill(pid)
    return found


def kill_children(but: Collection[int | None]) -> int:
    """SIGKILL every child that is left when the service ends; how many there were."""
    return sum(kill(pid) for pid in children() if pid not in but)


def kill(pid: int) -> bool:
    """SIGKILL to a process, if it is there."""
    with contextlib.suppress(OSError):
        pidfd = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)
        return True
    return False


def _comes_from(pid: int, title: str, slot_name: str) -> bool:
    mark = f"ENGINE_TASK={title}#".encode()
    with contextlib.suppress(OSError):
        environment = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
        if any(entry.startswith(mark) for entry in environment):
            return True
        # bytes: a file that a stranger maps may have any name
        return f"/memfd:{slot_name} ".encode() in (_PROC / str(pid) / "maps").read_bytes()
    return False


def _pids() -> list[int]:
    return [int(entry.name) for entry in os.scandir(_PROC) if entry.name.isdigit()]


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        stat = (_PROC / str(pid) / "stat").read_text("utf-8", "replace")
        return int(stat.rpartition(")")[2].split()[1])
    return -1
