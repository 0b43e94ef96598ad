"""Everything that decides about a task, as one value."""

from collections.abc import Mapping

import msgspec

from engine.model.deadlines import Deadlines
from engine.model.exit_status import ExitClass
from engine.model.limits import Limits
from engine.model.restart_policy import RestartPolicy
from engine.model.state import Condition
from engine.model.supervision import Supervision


class TaskState(msgspec.Struct, frozen=True):
    """Everything that decides about a task.

    Attributes:
        generation: of the newest process, or of the one being made.
        spawned_at: when that one was asked for.
        process_hash: configuration of that process.
        ending: why we are ending the process; None while it may live.
        ending_since: since when.
        ending_words: the same in words, where the class does not say it all.
        is_dumping: it is to write down its stacks before it is told to end.
        stall: what a DEGRADED task suffers from.
        recycling: why the process, which is well, is to end after its next commit.
        recycling_words: the same in words.
        failures: in a row, for the back-off.
        restart_times: when restarts after failures happened, for the limit.
        running_since: when the process became RUNNING.
        reason: how the last process ended, in one sentence.
        exit_class: what kind of end that was.
        lifetime: seconds from the request for that process to its end.
        first_error: what the first end said, or was, since the task was healthy last.
        first_error_at: when that was.
        trace: what the status shows for FAILED.
        verdict: why no process follows, for FAILED.
        failed_because: the same in a word.
        note: what a running process says it waits for.
        restarts: restarts by exit class, ever.
        retry_at: when the back-off ends.
        has_turn: the back-off was for the budget of restarts, which counts the next start already.
    """

    supervision: Supervision = msgspec.field(default_factory=Supervision)
    is_wanted: bool = True
    is_final: bool = False
    is_paused: bool = False
    wanted_hash: str = ""
    condition: Condition = Condition.STOPPED
    generation: int = 0
    spawned_at: float = 0.0
    process_hash: str = ""
    ending: ExitClass | None = None
    ending_since: float = 0.0
    ending_words: str | None = None
    is_dumping: bool = False
    stall: str | None = None
    recycling: ExitClass | None = None
    recycling_words: str | None = None
    failures: int = 0
    restart_times: tuple[float, ...] = ()
    running_since: float | None = None
    reason: str | None = None
    exit_class: ExitClass | None = None
    lifetime: float = 0.0
    first_error: str | None = None
    first_error_at: float = 0.0
    trace: str | None = None
    verdict: str | None = None
    failed_because: str | None = None
    note: str | None = None
    restarts: Mapping[str, int] = msgspec.field(default_factory=dict)
    retry_at: float | None = None
    has_turn: bool = False
    exit_code: int | None = None

    @property
    def policy(self) -> RestartPolicy:
        """How ends are answered."""
        return self.supervision.restart

    @property
    def deadlines(self) -> Deadlines:
        """How long things may take."""
        return self.supervision.deadlines

    @property
    def limits(self) -> Limits:
        """What its processes may use."""
        return self.supervision.limits

    @property
    def has_process(self) -> bool:
        """Whether there is a process, or one on its way."""
        return self.condition not in (Condition.STOPPED, Condition.BACKOFF, Condition.FAILED)
