"""What may happen to a task; see :mod:`engine.model.lifecycle`.

An event about a process carries that process's generation.
"""

from enum import StrEnum
from typing import Any

import msgspec

from engine.model.exit_status import ExitClass, ExitStatus
from engine.model.supervision import Supervision


class Timer(StrEnum):
    """What a timer is for; a task has one at a time."""

    START = "start"
    RESTART = "restart"
    DUMP = "dump"
    RECYCLE = "recycle"
    STOP = "stop"
    ABORT = "abort"
    KILL = "kill"


class Wanted(msgspec.Struct, frozen=True):
    """The task is to run with this configuration."""

    config_hash: str
    is_paused: bool
    supervision: Supervision


class Unwanted(msgspec.Struct, frozen=True):
    """The task is to end; for good, unless the whole engine stops and comes back later."""

    is_final: bool = True


class RestartRequested(msgspec.Struct, frozen=True):
    """An operator wants a fresh process."""


class BecameReady(msgspec.Struct, frozen=True):
    """``start()`` has returned."""

    generation: int
    is_paused: bool


class PauseDone(msgspec.Struct, frozen=True):
    """The process obeyed a pause or a resume."""

    generation: int
    is_paused: bool


class Noted(msgspec.Struct, frozen=True):
    """The process says what it waits for, or that the wait is over."""

    generation: int
    text: str | None


class Exited(msgspec.Struct, frozen=True):
    """The process is gone and reaped, or was never made (``status`` is None).

    Attributes:
        summary: ``Type: message`` when it said why.
        trace: the traceback when it said why.
        has_progressed: records moved while it ran.
        stage: what it was at.
        silence: seconds since its loop turned last.
        in_hand: the records that it was working on.
        stacks: what its threads were doing, where that was found out.
        out_of_memory: whether want of memory ended it; None when nobody can tell.
        logged: the first and the last error that it logged or printed, with their times.
        committed_before: offsets that it began with, see :mod:`engine.task.committed`.
        committed_after: offsets that it has committed itself.
    """

    generation: int
    status: ExitStatus | None
    summary: str | None = None
    trace: str | None = None
    has_progressed: bool = False
    stage: str = "init"
    silence: float = 0.0
    in_hand: str | None = None
    stacks: str | None = None
    out_of_memory: bool | None = None
    logged: tuple[str, ...] = ()
    committed_before: list[Any] | None = None
    committed_after: list[Any] | None = None


class PutOff(msgspec.Struct, frozen=True):
    """The process was not made, for the budget of restarts is used up for so many seconds."""

    generation: int
    seconds: float


class FellSilent(msgspec.Struct, frozen=True):
    """No heartbeat for longer than the stage allows."""

    generation: int
    seconds: float
    stage: str
    in_hand: str | None = None


class Stalled(msgspec.Struct, frozen=True):
    """The loop turns, so many records wait, and none has moved for so many seconds."""

    generation: int
    seconds: float
    backlog: int


class Moved(msgspec.Struct, frozen=True):
    """A record moved, or none waits any more."""

    generation: int


class Outgrew(msgspec.Struct, frozen=True):
    """The process has done its share, or uses more than it should: time for a fresh one.

    Attributes:
        why: ``SOFT_MEMORY`` or ``RECYCLED``.
        words: the same in words.
    """

    generation: int
    why: ExitClass
    words: str


class Overran(msgspec.Struct, frozen=True):
    """The process uses more memory than it may, and the kernel does not see to it."""

    generation: int
    words: str


class Dumped(msgspec.Struct, frozen=True):
    """The stacks of the process are written down, as far as they can be had."""

    generation: int


class TimedOut(msgspec.Struct, frozen=True):
    """A timer has run out.

    Attributes:
        busy: so many seconds more the process has announced to need.
        where: what a process is at that SIGKILL does not end.
    """

    generation: int
    timer: Timer
    busy: float = 0.0
    where: str = ""


Event = (
    Wanted | Unwanted | RestartRequested | BecameReady | PauseDone | Noted | Exited | PutOff
    | FellSilent | Stalled | Moved | Outgrew | Overran
    | Dumped | TimedOut
)  # fmt: skip
