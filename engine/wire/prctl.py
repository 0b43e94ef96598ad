"""Three things that the kernel offers a process and Python does not (``prctl(2)``)."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(number: signal.Signals) -> None:
    """Get this signal when the parent ends; lost by a fork and by a change of the user."""
    _prctl(_PR_SET_PDEATHSIG, number)


def become_subreaper() -> None:
    """Be the parent of every orphan among the descendants."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, argument: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), f"prctl({option})")
