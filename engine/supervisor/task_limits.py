"""What one task's processes may use: seen to by the kernel where it can, else by looking."""

import signal

from engine.model.exit_status import EXIT_OUT_OF_MEMORY, ExitStatus
from engine.model.lifecycle.event import Outgrew, Overran
from engine.model.lifecycle.task_state import TaskState
from engine.model.limits import NOBODY, Limits, seen_to_by
from engine.model.task_id import TaskId
from engine.model.watch import memory_verdict
from engine.supervisor.cgroups import Cgroups, TaskGroup
from engine.supervisor.log import Log
from engine.supervisor.memory_use import OomKills, memory_use
from engine.wire.zygote_message import Confinement


class TaskLimits:
    """The group of a task, when it has one, and who looks when it has none.

    Args:
        task: whose.
        cgroups: makes groups.
        kills: of the whole machine.
        log: hears of limits that nobody here can see to.

    Attributes:
        group: None while the task needs none, or can have none.
    """

    def __init__(self, task: TaskId, cgroups: Cgroups, kills: OomKills, log: Log) -> None:
        self._task = task
        self._cgroups = cgroups
        self._kills = kills
        self._log = log
        self._told: Limits | None = None
        self._group_kills = 0
        self.group: TaskGroup | None = None

    def prepare(self, limits: Limits) -> Confinement:
        """What the next process has to join.

        Raises:
            CgroupError: a limit cannot be set.
        """
        before = self.group
        self.group = self._cgroups.group_for(self._task, limits)
        if self.group is None and before is not None:
            self._cgroups.release(before)
        self._tell_of_unseen(limits)
        if self.group is None:
            return Confinement()
        self._group_kills = self.group.oom_kills()
        return Confinement(self.group.directories, self.controllers)

    @property
    def controllers(self) -> tuple[str, ...]:
        """What the group enforces."""
        return tuple(sorted(self.group.controllers)) if self.group is not None else ()

    def _tell_of_unseen(self, limits: Limits) -> None:
        """Say once that a limit has no effect here."""
        unseen = [n for n, who in seen_to_by(limits, self.controllers).items() if who == NOBODY]
        if unseen and limits != self._told:
            self._log.warning(
                "limits have no effect: there are no control groups for them here",
                connector=self._task.connector,
                task=self._task.task,
                limits=unseen,
            )
        self._told = limits

    def was_out_of_memory(self, status: ExitStatus | None, *, is_ours: bool) -> bool | None:
        """Whether want of memory ended the process; None when nobody can tell.

        Args:
            status: how it ended.
            is_ours: we were ending it.
        """
        if status is None or status.code is not None:
            return status is not None and status.code == EXIT_OUT_OF_MEMORY
        if status.signal != signal.SIGKILL:
            return False
        if self.group is not None and self.group.oom_kills() > self._group_kills:
            return True
        # some process of this machine was ended so of late; whether it was this one nobody says
        return False if is_ours or self._kills.none_of_late() else None

    def verdict(self, state: TaskState, pid: int, now: float) -> Outgrew | Overran | None:
        """What is to be done about the memory that the process uses now."""
        limit = state.limits.memory
        if not limit:
            return None
        used = memory_use(pid, limit)
        return memory_verdict(state, used, now, is_confined="memory" in self.controllers)

    def close(self) -> None:
        """Give the group back; no process is left in it."""
        if self.group is not None:
            self._cgroups.release(self.group)
            self.group = None
