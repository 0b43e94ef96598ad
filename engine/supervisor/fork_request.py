"""A wish for a process, from whoever needs one to the zygote."""

from collections.abc import Callable, Sequence

from engine.wire.zygote_message import Fork


class ForkRequest:
    """A process that is wanted.

    Args:
        fork: what it is to be.
        descriptors: gives what goes with the message, each time that it is sent: while it waits,
            what a task is to do may be told anew.
        on_forked: called with the pid.
        on_failed: called with the reason instead.

    Attributes:
        is_cancelled: nobody wants it any more; if it comes all the same, ``on_forked`` is called.
        sent_at: when the zygote was asked, by the loop's clock.
    """

    def __init__(
        self,
        fork: Fork,
        descriptors: Callable[[], Sequence[int]],
        on_forked: Callable[[int], None],
        on_failed: Callable[[str], None],
    ) -> None:
        self.fork = fork
        self.descriptors = descriptors
        self.on_forked = on_forked
        self.on_failed = on_failed
        self.is_cancelled = False
        self.sent_at = 0.0
