"""Three things that the kernel offers a process and Python does not (``prctl(2)``)."""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_EXECUTE: Final = f"""\
import ctypes, os, sys
ctypes.CDLL(None).prctl({_PR_SET_PDEATHSIG}, {int(signal.SIGTERM)})
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(number: signal.Signals) -> None:
    """Get this signal when the parent ends; lost by a fork and by a change of the user."""
    _prctl(_PR_SET_PDEATHSIG, number)


def dying_with_parent(argv: Sequence[str]) -> list[str]:
    """The same program, but it gets SIGTERM when we end; for programs that are not ours.

    A fresh interpreter asks for the signal and then becomes the program: between fork and exec
    there is no safe place for it. The signal belongs to the thread that starts the process, so that
    must be a lasting one.
    """
    return [sys.executable, "-I", "-S", "-c", _EXECUTE, str(os.getpid()), *argv]


def become_subreaper() -> None:
    """Be the parent of every orphan among the descendants."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, argument: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), f"prctl({option})")
