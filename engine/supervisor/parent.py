"""What a process must be before it has children that it supervises."""

import contextlib
import os
import resource
import signal

_MOST_DESCRIPTORS = 1 << 20


def become_parent() -> None:
    """Get statuses and enough descriptors, and hand on none that we were given."""
    keep_descriptors_to_ourselves()
    _allow_many_descriptors()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # an inherited SIG_IGN would lose statuses


def keep_descriptors_to_ourselves() -> None:
    """What a launcher left open, such as a lock of its own, is no business of our children."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one that lists them is gone
            os.set_inheritable(int(name), int(name) <= 2)


def _allow_many_descriptors() -> None:
    """Eight descriptors a task: the usual soft limit of 1024 would do for some 120 of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
