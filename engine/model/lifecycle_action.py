"""What is to be done about a task; see :mod:`engine.model.lifecycle`."""

from dataclasses import dataclass

from engine.model.lifecycle_event import Timer


@dataclass(frozen=True, slots=True)
class Spawn:
    """Make a process of this generation.

    Attributes:
        takes_turn: it follows a failure and counts in the budgets of restarts: where these are used
            up, no process is made and the answer is the event ``PutOff``.
    """

    generation: int
    takes_turn: bool = False


@dataclass(frozen=True, slots=True)
class Dump:
    """Have the process write down what its threads are at; the answer is the event ``Dumped``."""


@dataclass(frozen=True, slots=True)
class Terminate:
    """Ask the process to end: order, SIGTERM, SIGCONT."""

    is_final: bool


@dataclass(frozen=True, slots=True)
class Abort:
    """Make the process write its stacks and die: SIGABRT, SIGCONT."""


@dataclass(frozen=True, slots=True)
class Kill:
    """End the process and its group: SIGKILL."""


@dataclass(frozen=True, slots=True)
class TellTarget:
    """Order a pause or a resume."""

    is_paused: bool


@dataclass(frozen=True, slots=True)
class Arm:
    """Set the task's timer, in place of the one it had."""

    timer: Timer
    seconds: float
    generation: int


@dataclass(frozen=True, slots=True)
class Disarm:
    """Take back the task's timer."""


@dataclass(frozen=True, slots=True)
class Emit:
    """Tell the world; named as in :class:`engine.wire.message.TaskEvent`."""

    event: str


Action = Spawn | Dump | Terminate | Abort | Kill | TellTarget | Arm | Disarm | Emit
