"""What is kept of the past, and what was lost of it: journal, last outputs, log files."""

import collections
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from engine.model.task_id import TaskId
from engine.supervisor.handover import JournalHandover
from engine.supervisor.journal import Journal
from engine.supervisor.last_output import LastOutputs
from engine.supervisor.log import Log
from engine.supervisor.log_file import remove_expired
from engine.supervisor.log_pipe import LogPipe
from engine.supervisor.settings import Settings
from engine.wire.herder_message import Losses

_SWEEP_INTERVAL: Final = 600.0
_ROOM: Final = 32 * 1024
"""Bytes of a message for what was lost of the tasks' logs."""

_TASK_BYTES: Final = 24

TaskLoss = tuple[str, int, int]
"""Connector, task, bytes."""


class Records:
    """Made once by the supervisor.

    Args:
        epoch: number of this run of the engine.
        open_elsewhere: names of log files that other processes hold open.

    Attributes:
        journal: see there.
        outputs: see there.
    """

    def __init__(
        self, settings: Settings, epoch: int, log: Log, open_elsewhere: Collection[str]
    ) -> None:
        path = settings.data_dir / "journal" / "events.jsonl"
        self.journal = Journal(path, settings.journal, epoch)
        self.outputs = LastOutputs(settings.data_dir)
        self._settings = settings
        self._log = log
        self._open_elsewhere = open_elsewhere
        self._next_sweep = 0.0
        self._next = 0
        log.on_own = self.journal.logged

    def sweep(self, now: float) -> None:
        """Remove what is too old, now and then; called on every tick."""
        if now < self._next_sweep:
            return
        self._next_sweep = now + _SWEEP_INTERVAL
        data_dir, longest = self._settings.data_dir, self._settings.output.retention.longest
        remove_expired(data_dir / "logs", longest, self._open_elsewhere)
        remove_expired(data_dir / "deaths", longest)
        remove_expired(data_dir / "journal", self._settings.journal.longest)

    def losses(self, logs: Mapping[TaskId, LogPipe], other: str | None = None) -> Losses:
        """What was lost so far, and what keeps things from being written now.

        Args:
            logs: those of all tasks.
            other: what keeps anything else from being done.
        """
        problems = [other] if other else []
        if self.journal.problem:
            problems.append(f"the journal cannot be written: {self.journal.problem}")
        causes = collections.Counter(log.problem for log in logs.values() if log.problem)
        problems += [f"logs of {n} tasks cannot be written: {why}" for why, n in causes.items()]
        return Losses(
            console_bytes=self._log.console.dropped,
            journal_events=self.journal.lost,
            outputs=self.outputs.lost,
            task_logs=self._some([(*t, log.dropped) for t, log in logs.items() if log.dropped]),
            problems=tuple(problems),
        )

    def _some(self, lossy: Sequence[TaskLoss]) -> tuple[TaskLoss, ...]:
        """As many as a message has room for, from where the last one ended."""
        room, taken = _ROOM, []
        begin = self._next if self._next < len(lossy) else 0
        for each in (*lossy[begin:], *lossy[:begin]):
            room -= len(each[0].encode("utf-8", "replace")) + _TASK_BYTES
            if room < 0:
                break
            taken.append(each)
        self._next = begin + len(taken)
        return tuple(taken)

    def hand_over(self) -> JournalHandover:
        """What a successor needs to go on; what the disk takes now is written."""
        self.outputs.write()
        return self.journal.hand_over()

    def close(self) -> None:
        """Write what waits, as far as the disk takes it."""
        self.outputs.write()
        self.journal.close()
