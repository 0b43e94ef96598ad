"""What is to be done about a task; see :mod:`engine.model.lifecycle`."""

import msgspec

from engine.model.lifecycle.event import Timer


class Spawn(msgspec.Struct, frozen=True):
    """Make a process of this generation.

    Attributes:
        takes_turn: it follows a failure and counts in the budgets of restarts: where these are used
            up, no process is made and the answer is the event ``PutOff``.
    """

    generation: int
    takes_turn: bool = False


class Dump(msgspec.Struct, frozen=True):
    """Have the process write down what its threads are at; the answer is the event ``Dumped``."""


class Terminate(msgspec.Struct, frozen=True):
    """Ask the process to end: order, SIGTERM, SIGCONT."""

    is_final: bool


class Abort(msgspec.Struct, frozen=True):
    """Make the process write its stacks and die: SIGABRT, SIGCONT."""


class Kill(msgspec.Struct, frozen=True):
    """End the process and its group: SIGKILL."""


class TellTarget(msgspec.Struct, frozen=True):
    """Order a pause or a resume."""

    is_paused: bool


class TellRecycle(msgspec.Struct, frozen=True):
    """Ask the process to end after its next commit."""


class Arm(msgspec.Struct, frozen=True):
    """Set the task's timer, in place of the one it had."""

    timer: Timer
    seconds: float
    generation: int


class Disarm(msgspec.Struct, frozen=True):
    """Take back the task's timer."""


class Emit(msgspec.Struct, frozen=True):
    """Tell the world; named as in :class:`engine.wire.herder_message.TaskEvent`."""

    event: str


Action = Spawn | Dump | Terminate | Abort | Kill | TellTarget | TellRecycle | Arm | Disarm | Emit
