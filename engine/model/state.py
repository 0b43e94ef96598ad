"""States of connectors and tasks: what is wanted, what is, and what the REST API says of it."""

from enum import StrEnum


class TargetState(StrEnum):
    """What somebody wants of a connector (upstream: ``TargetState``)."""

    STARTED = "STARTED"
    PAUSED = "PAUSED"
    STOPPED = "STOPPED"


INITIAL_STATES = {
    "RUNNING": TargetState.STARTED,
    "PAUSED": TargetState.PAUSED,
    "STOPPED": TargetState.STOPPED,
}
"""What a new connector is to be, in the words of files and requests (``initial_state``)."""


class State(StrEnum):
    """What Kafka Connect's REST API says of a connector or a task."""

    UNASSIGNED = "UNASSIGNED"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    FAILED = "FAILED"
    RESTARTING = "RESTARTING"
    STOPPED = "STOPPED"
    DESTROYED = "DESTROYED"


class Condition(StrEnum):
    """What the supervisor knows of a task's process.

    ``STARTING`` lasts from the fork request to ``start()``'s return, ``UNRESPONSIVE`` from a missed
    heartbeat to the end of the process, ``UNKILLABLE`` begins when SIGKILL did not end it. A task
    is ``DEGRADED`` while its loop turns and records wait, but none moves.
    """

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    DEGRADED = "DEGRADED"
    STOPPING = "STOPPING"
    BACKOFF = "BACKOFF"
    FAILED = "FAILED"
    UNRESPONSIVE = "UNRESPONSIVE"
    UNKILLABLE = "UNKILLABLE"


ON_THE_WIRE = {
    Condition.STOPPED: State.UNASSIGNED,
    Condition.STARTING: State.RESTARTING,
    Condition.RUNNING: State.RUNNING,
    Condition.PAUSED: State.PAUSED,
    Condition.DEGRADED: State.RUNNING,
    Condition.STOPPING: State.RUNNING,
    Condition.BACKOFF: State.RESTARTING,
    Condition.FAILED: State.FAILED,
    Condition.UNRESPONSIVE: State.RUNNING,
    Condition.UNKILLABLE: State.FAILED,
}
"""How a process's condition reads to clients of Kafka Connect, who know no other states."""

ALIVE = frozenset((Condition.RUNNING, Condition.PAUSED, Condition.DEGRADED))
"""Conditions of a process whose loop turns, and that nobody is ending."""
