"""A process that exists before its task needs it, so that a restart waits for no fork.

Forking twice and copying the pages that every task writes to is half of the time from a kill to the
successor's first turn. A spare has that behind it: it waits for the request that a fork would have
been made for, and becomes that task.
"""

import socket
from collections.abc import Callable, Mapping, Sequence

from engine.kafka.rehearsal import rehearse_client
from engine.model.exit_status import EXIT_OK
from engine.task.identity import assume
from engine.task.rehearsal import rehearse
from engine.wire.channel import Channel
from engine.wire.zygote_message import Fork

Entry = Callable[[Fork, Sequence[int]], int]


def main(descriptors: Sequence[int], entries: Mapping[str, Entry]) -> int:
    """Wait for work, which may never come; the exit code.

    Args:
        descriptors: the socket that brings the request; when it closes, there is none.
        entries: what runs a request of each kind.
    """
    (work,) = descriptors
    rehearse()  # copies the pages now that a task would wait for
    rehearse_client()
    channel: Channel[Fork] = Channel(socket.socket(fileno=work), Fork)
    received = channel.receive()
    channel.close()
    if received is None:
        return EXIT_OK
    fork, given = received
    return entries[fork.kind](fork, assume(fork, given))
