"""An engine that runs already: only its own processes are touched, and each is looked at before."""

import contextlib
import signal
import time
from collections.abc import Callable

from engine.cli.chaos import processes
from engine.cli.chaos.fault import Fault
from engine.cli.chaos.lines import Tally
from engine.cli.chaos.observer import look
from engine.cli.chaos.recovery import RUNNING, Snapshot, Wound
from engine.cli.chaos.target import TargetError
from engine.cli.ctl.client import CtlError, RestClient
from engine.cli.ctl.exit_code import ExitCode

MOST_PER_TASK = 5
"""Below ``engine.restart.max``, which is 10 in ten minutes: chaos is not to leave a FAILED task."""


class LiveEngine:
    """See :class:`engine.cli.chaos.target.Target`.

    Args:
        url: of its REST API.
        timeout: seconds to wait for an answer.

    Attributes:
        tasks: those that run; what does not run now is left alone.

    Raises:
        CtlError: it cannot be reached.
        TargetError: it is not on this machine, or has no task that runs.
    """

    is_own = False
    most_per_task: int | None = MOST_PER_TASK

    def __init__(self, url: str, timeout: float) -> None:
        self.url = url
        seen = look(RestClient(url, timeout))
        self._supervisor = _supervisor_of(seen)
        self.tasks = frozenset(n for n, t in seen.tasks.items() if t.condition == RUNNING)
        if not self.tasks:
            raise TargetError(f"the engine at {url} has no task that runs")
        self._check(seen)
        self._stopped: list[tuple[int, str]] = []

    def _check(self, seen: Snapshot) -> None:
        """See whether the pids that it tells are pids here."""
        for name in self.tasks:
            pid = seen.tasks[name].pid
            with contextlib.suppress(processes.NotOursError):
                if pid is not None:
                    processes.check(pid, self._supervisor, f"engine: task {name}")
                    return
        raise TargetError(
            f"the processes of the engine at {self.url} are not here: it runs on another machine,"
            " or in a container; run engine chaos beside it"
        )

    def tick(self, now: float) -> None:
        """See the protocol."""

    def hurt(self, fault: Fault, task: str | None, seen: Snapshot) -> str | None:
        """See the protocol."""
        number = signal.SIGSTOP if fault is Fault.STOP else signal.SIGKILL
        match fault:
            case Fault.KILL_TASK | Fault.STOP if task is not None:
                pid, title, name = seen.tasks[task].pid, f"engine: task {task}", task
            case Fault.KILL_HERDER:
                pid, title, name = seen.herder_pid, "engine: herder", "herder"
            case Fault.KILL_ZYGOTE:
                pid, title, name = seen.zygote_pid, "engine: zygote", "zygote"
            case _:
                return None
        if pid is None:
            return None
        try:
            processes.send(pid, number, self._supervisor, title)
        except processes.NotOursError:
            return None  # it ended by itself a moment ago
        except PermissionError as error:
            raise TargetError(f"this user may not send signals to pid {pid}") from error
        if fault is Fault.STOP:
            self._stopped.append((pid, title))
        return name

    def resumed_at(self, wound: Wound) -> float | None:
        """See the protocol."""
        return wound.since or time.monotonic()

    def calm(self) -> None:
        """See the protocol."""
        for pid, title in self._stopped:
            with contextlib.suppress(processes.NotOursError, PermissionError):
                processes.send(pid, signal.SIGCONT, self._supervisor, title)
        self._stopped.clear()

    def finish(self, seconds: float, is_urgent: Callable[[], bool]) -> Tally | None:
        """See the protocol: what users of the engine sent is not known here."""
        del seconds, is_urgent
        self.calm()
        return None

    def close(self) -> list[str]:
        """See the protocol."""
        self.calm()
        return []


def _supervisor_of(seen: Snapshot) -> int:
    if seen.supervisor_pid is None:
        raise CtlError("it does not tell the pid of its supervisor", ExitCode.REFUSED)
    return seen.supervisor_pid
