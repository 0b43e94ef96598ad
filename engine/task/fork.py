"""fork(2) without what Python does around it, where nobody would miss that.

After :func:`os.fork` Python runs hooks in the child: it renews the locks of :mod:`threading` and
:mod:`logging`, drops threads that did not come along, and seeds :mod:`random`. The zygote has one
thread and holds no lock, so that all but the seed is without effect, yet it writes to some 150
pages, each of which becomes a page of the task's own. The hooks of others are honoured.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from typing import Any, Final

_KNOWN: Final = frozenset({"threading", "logging", "random", "concurrent.futures.thread"})
"""Modules of the standard library whose hooks do nothing for a process with one thread, but for
:mod:`random`'s, which whoever forks makes good."""

_NEWEST: Final = (3, 14)
"""What this was read and tried with; a newer Python forks in its own way."""


class Forker:
    """Forks this process; made before the modules are imported whose hooks may matter."""

    def __init__(self) -> None:
        self._fork = _plain_fork() if _is_known_python() else os.fork
        self._register = os.register_at_fork
        os.register_at_fork = self._note  # type: ignore[assignment]

    def _note(self, **hooks: Callable[[], Any]) -> None:
        self._register(**hooks)
        if sys._getframe(1).f_globals.get("__name__") not in _KNOWN:  # noqa: SLF001
            self._fork = os.fork

    def fork(self) -> int:
        """As :func:`os.fork`; the child must seed :mod:`random` itself.

        Raises:
            OSError: there is no process to be had.
        """
        return self._fork()


def _is_known_python() -> bool:
    return (
        sys.implementation.name == "cpython"
        and sys.version_info[:2] <= _NEWEST
        and "t" not in sys.abiflags  # free threading
    )


def _plain_fork() -> Callable[[], int]:
    library = ctypes.PyDLL(None, use_errno=True)  # PyDLL: the lock stays ours, in the child too
    library.fork.restype = ctypes.c_int

    def fork() -> int:
        pid: int = library.fork()
        if pid < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return pid

    return fork
