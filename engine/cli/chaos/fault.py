"""The faults: their names, what each is done to, and which are for an engine of one's own alone."""

from enum import StrEnum
from typing import Final, NamedTuple


class Fault(StrEnum):
    """What may be done; the value is its name in plans and reports."""

    KILL_TASK = "kill:task"
    KILL_HERDER = "kill:herder"
    KILL_ZYGOTE = "kill:zygote"
    KILL_SUPERVISOR = "kill:supervisor"
    KILL_BROKER = "kill:broker"
    STOP = "stop"
    OOM = "oom"
    DISK_FULL = "disk-full"
    BROKER_RESTART = "broker-restart"


KILLS: Final = {
    "task": Fault.KILL_TASK,
    "herder": Fault.KILL_HERDER,
    "zygote": Fault.KILL_ZYGOTE,
    "supervisor": Fault.KILL_SUPERVISOR,
    "broker": Fault.KILL_BROKER,
}
"""What ``--kill`` may name."""

OF_A_TASK: Final = frozenset({Fault.KILL_TASK, Fault.STOP, Fault.OOM})
"""Each of these needs a task that runs and that nothing else has been done to of late."""

OF_ALL: Final = frozenset(
    {Fault.KILL_SUPERVISOR, Fault.KILL_BROKER, Fault.BROKER_RESTART, Fault.DISK_FULL}
)
"""These hurt every task; one at a time."""

REFUSED_LIVE: Final = {
    Fault.KILL_SUPERVISOR: "every task and the REST API would end with it, and whether somebody"
    " starts it again is not known from here",
    Fault.KILL_BROKER: "the broker may serve others as well",
    Fault.BROKER_RESTART: "the broker may serve others as well",
    Fault.DISK_FULL: "the disk is not the engine's alone",
    Fault.OOM: "nothing outside a task can make it use memory; lower"
    " engine.limit.memory.hard.bytes of a connector instead",
}
"""What is not done to an engine that runs already, and why."""


class Default(NamedTuple):
    """How much of a fault there is where nobody says: times a minute."""

    own: float
    live: float = 0.0


DEFAULTS: Final = {
    Fault.KILL_TASK: Default(12, 4),
    Fault.KILL_HERDER: Default(1, 0.5),
    Fault.KILL_ZYGOTE: Default(1, 0.5),
    Fault.KILL_SUPERVISOR: Default(0.5),
    Fault.KILL_BROKER: Default(0),
    Fault.STOP: Default(2, 0.5),
    Fault.OOM: Default(1),
    Fault.DISK_FULL: Default(0.5),
    Fault.BROKER_RESTART: Default(0.5),
}
"""The mix when no fault is named, and what an option without a value means."""

ONCE_NAMED: Final = 1.0
"""Times a minute of a fault that is named without a value and is not part of the mix."""
