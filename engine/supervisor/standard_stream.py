"""The service's standard input and output: for its own log, and for tasks that ask for them.

Several processes write to the same pipe or terminal. Each has a description of its own, so that
not to wait for the other end is its own affair, and so is a lock (``flock``) that it holds while
half a line is written.
"""

import contextlib
import os
import stat
from collections.abc import Mapping
from typing import Final

_STREAMS: Final[Mapping[str, tuple[int, int]]] = {
    "standard input": (0, os.O_RDONLY),
    "standard output": (1, os.O_WRONLY),
}


def open_stream(name: str) -> int:
    """A descriptor for somebody who is not to share more than the stream itself.

    Args:
        name: ``standard input`` or ``standard output``.

    Raises:
        OSError: the service was started without it.
    """
    fd, flags = _STREAMS[name]
    return own_description(fd, flags)


def own_description(fd: int, flags: int = os.O_WRONLY) -> int:
    """Another description of a pipe or a terminal, non-blocking; a copy where there can be none.

    There can be none of a socket, of a file, whose position is shared, and of what belongs to
    somebody else.

    Raises:
        OSError: there is no such descriptor.
    """
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        flags |= os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        with contextlib.suppress(OSError):
            return os.open(f"/proc/self/fd/{fd}", flags)
    return os.dup(fd)
