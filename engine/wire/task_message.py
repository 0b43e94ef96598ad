"""What supervisor and task say to each other, and what a task is told to do."""

from typing import Final

import msgspec

from engine.wire.channel import shorten, shorten_to_end
from engine.wire.message import Message

LONGEST_SUMMARY: Final = 4096
"""Bytes of what a task says in a sentence."""

_LONGEST_TRACE: Final = 40 * 1024


class Ready(Message, frozen=True, array_like=True):
    """task → supervisor: ``start()`` has returned and the client handles exist."""

    generation: int
    paused: bool = False


class TargetChanged(Message, frozen=True, array_like=True):
    """supervisor → task: pause or go on."""

    paused: bool


class PausedChanged(Message, frozen=True, array_like=True):
    """task → supervisor: it is done."""

    generation: int
    paused: bool


class LogLevels(Message, frozen=True, array_like=True):
    """supervisor → task: write so much from now on; the first word to each process.

    Attributes:
        levels: by logger; a logger that is not named has the level of its configuration.
    """

    levels: dict[str, str]


class Recycle(Message, frozen=True, array_like=True):
    """supervisor → task: all is well; end after the next commit, for a fresh process."""


class Stop(Message, frozen=True, array_like=True):
    """supervisor → task: end in good order. SIGTERM follows, which alone means the same.

    Attributes:
        final: no successor follows, so a consumer leaves its group at once.
    """

    final: bool = False


class Failing(Message, frozen=True, array_like=True):
    """task → supervisor: last words before the exit.

    Attributes:
        summary: ``Type: message``, the first line of the trace that the REST API shows.
        trace: the whole traceback.
        stage: what the task was at.
        in_hand: the records that it was working on.
    """

    generation: int
    summary: str
    trace: str
    stage: str
    in_hand: str | None = None

    def shortened(self) -> "Failing":
        """The same with texts that other messages have room for; of the trace the end is kept."""
        return Failing(
            self.generation,
            shorten(self.summary, LONGEST_SUMMARY),
            shorten_to_end(self.trace, _LONGEST_TRACE),
            shorten(self.stage, LONGEST_SUMMARY),
            None if self.in_hand is None else shorten(self.in_hand, LONGEST_SUMMARY),
        )


class TaskCondition(Message, frozen=True, array_like=True):
    """task → supervisor: what a running task waits for or suffers from; None when it is over."""

    generation: int
    text: str | None


class StreamWanted(Message, frozen=True, array_like=True):
    """task → supervisor: it reads or writes the service's own stream of this name."""

    generation: int
    name: str


class StreamGiven(Message, frozen=True, array_like=True):
    """supervisor → task: here it is, as a descriptor; none when the service has no such stream."""

    name: str


class TaskAssignment(msgspec.Struct, frozen=True):
    """Everything a task needs, placeholders of config providers unresolved.

    Attributes:
        type: ``source`` or ``sink``.
        worker: the worker's configuration, key → text.
        connector_config: the connector's.
        config: the task's, as ``task_configs`` made it; ``task.class`` among it.
        data_dir: where offset files and locks are.
    """

    connector: str
    task: int
    type: str
    worker: dict[str, str]
    connector_config: dict[str, str]
    config: dict[str, str]
    data_dir: str
    start_paused: bool = False


SupervisorToTask = Recycle | TargetChanged | LogLevels | Stop | StreamGiven
TaskToSupervisor = Ready | PausedChanged | Failing | TaskCondition | StreamWanted
