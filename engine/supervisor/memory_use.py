"""What processes use of the memory, and whether the kernel has ended some for want of it."""

import contextlib
import os
import re
from typing import Final

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_PSS: Final = re.compile(rb"^Pss:\s+(\d+) kB", re.MULTILINE)
_OOM_KILL: Final = re.compile(rb"^oom_kill (\d+)$", re.MULTILINE)


def memory_use(pid: int, least: int) -> int:
    """Bytes that a process uses, shared pages counted in part; 0 when that is not above ``least``.

    What it maps in all is known for the asking, and is never less; the true figure makes the kernel
    walk its pages.
    """
    with contextlib.suppress(OSError, IndexError, ValueError):
        resident = int(_read(f"/proc/{pid}/statm").split()[1]) * _PAGE
        if resident <= least:
            return 0
        found = _PSS.search(_read(f"/proc/{pid}/smaps_rollup"))
        return int(found[1]) * 1024 if found else resident
    return 0


class OomKills:
    """How many processes of this machine the kernel has ended for want of memory."""

    def __init__(self) -> None:
        self._before = self._last = self._count()

    def tick(self) -> None:
        """Remember; an end is compared with what was a tick or two before it."""
        self._before, self._last = self._last, self._count()

    def none_of_late(self) -> bool | None:
        """Whether there was none since then; None where the kernel does not tell."""
        count = self._count()
        return None if count is None or self._before is None else count == self._before

    @staticmethod
    def _count() -> int | None:
        try:
            found = _OOM_KILL.search(_read("/proc/vmstat"))
        except OSError:
            return None
        return int(found[1]) if found else None


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()
