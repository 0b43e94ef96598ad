"""What the tasks' processes use, read from ``/proc``: a few of them every second."""

import contextlib
import itertools
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from engine.model.task_id import TaskId

_EVERY: Final = 5.0
"""Seconds until the same process is measured again."""

_MOST: Final = 100
"""Processes measured at once; of many, each has its turn less often."""

_MOST_WALKS: Final = 4
"""Processes at once whose pages the kernel has to walk."""

_WALK_AFTER: Final = 300.0
"""Seconds after which shared pages are counted anew, though the process has not grown."""

_GROWN: Final = 1 << 20
"""Bytes of growth after which they are, too."""

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PSS: Final = re.compile(rb"^Pss:\s+(\d+) kB", re.MULTILINE)
_PARENT, _USER, _SYSTEM, _RESIDENT = 1, 11, 12, 21  # fields behind the name, see proc_pid_stat(5)


class Sample(msgspec.Struct, frozen=True):
    """What a task's process uses.

    Attributes:
        cpu_seconds: since its start.
        pss_bytes: shared pages counted in part.
        at: when it was measured, seconds, monotonic.
    """

    connector: str
    task: int
    pid: int
    cpu_seconds: float
    rss_bytes: int
    pss_bytes: int
    at: float

    def is_followed_by(self, other: "Sample") -> bool:
        """Whether both are of one process; another one may have the same pid."""
        return self.pid == other.pid and self.cpu_seconds <= other.cpu_seconds


class _Seen(msgspec.Struct, frozen=True):
    """When a process was measured, and its size when its pages were counted."""

    at: float
    walked_at: float
    rss: int
    pss: int


class Sampler:
    """Measures processes, those first that were not for longest.

    CPU and resident memory cost little to ask for. What counts shared pages in part makes the
    kernel walk them all, so it is asked for when the process has grown, and now and then.

    Args:
        parent: whose children the processes are; a number that somebody else's has by now is not
            measured.
        proc: where ``/proc`` is.
    """

    def __init__(self, parent: int, proc: Path = Path("/proc")) -> None:
        self._parent = parent
        self._proc = proc
        self._seen: dict[int, _Seen] = {}  # the oldest first
        self._walks = 0

    def sample(self, processes: Mapping[int, TaskId], now: float) -> list[Sample]:
        """Samples of those whose turn it is.

        Args:
            processes: tasks by pid.
            now: seconds, monotonic.
        """
        for pid in self._seen.keys() - processes.keys():
            del self._seen[pid]
        new = itertools.islice((pid for pid in processes if pid not in self._seen), _MOST_WALKS)
        old = (pid for pid, seen in self._seen.items() if now - seen.at >= _EVERY)
        due = list(itertools.islice(itertools.chain(new, old), _MOST))
        self._walks = 0
        samples = []
        for pid in due:
            with contextlib.suppress(OSError, ValueError, IndexError):  # it has just ended
                sample = self._measure(pid, processes[pid], now)
                samples += [sample] if sample is not None else []
        return samples

    def _measure(self, pid: int, task: TaskId, now: float) -> Sample | None:
        """None while too many others have their pages counted."""
        fields = (self._proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        if int(fields[_PARENT]) != self._parent:
            return None
        seen = self._seen.pop(pid, None)
        rss = int(fields[_RESIDENT]) * _PAGE
        if seen is None or abs(rss - seen.rss) > _GROWN or now - seen.walked_at >= _WALK_AFTER:
            if self._walks < _MOST_WALKS:
                self._walks += 1
                seen = _Seen(now, now, rss, self._shared_in_part(pid))
            elif seen is None:
                return None
        self._seen[pid] = _Seen(now, seen.walked_at, seen.rss, seen.pss)
        cpu = (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS
        return Sample(task.connector, task.task, pid, cpu, rss, seen.pss, now)

    def _shared_in_part(self, pid: int) -> int:
        found = _PSS.search((self._proc / str(pid) / "smaps_rollup").read_bytes())
        return int(found[1]) * 1024 if found else 0
