"""What makes a process that the zygote forked the process of a certain task."""

import os
from collections.abc import Sequence

import setproctitle

from engine.wire.zygote_message import Fork


def assume(fork: Fork, descriptors: Sequence[int]) -> list[int]:
    """Take the name and the log of what this process is to be.

    Args:
        fork: the request for it.
        descriptors: those of the request; the log pipe becomes standard output and error.

    Returns:
        The descriptors without the log.
    """
    control, log, *others = descriptors
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    setproctitle.setproctitle(f"engine: {fork.title}")
    os.environ["ENGINE_TASK"] = f"{fork.title}#{fork.generation}"  # marks what it executes
    return [control, *others]
