"""Processes that are none, and who hears of their ends."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from engine.model.exit_status import ExitStatus
from engine.task.runtime import TaskRuntime
from engine.wire.channel import Channel
from tests.unit.supervisor.simulated_network import Link

FIRST_PID: Final = 1 << 28
"""No process of this machine has such a number: what is sent to it by mistake reaches nobody."""


@dataclass(eq=False)
class Process:
    """One of the played processes."""

    pid: int
    kind: str
    title: str = ""
    generation: int = 0
    link: Link | None = None
    is_alive: bool = True
    is_reaped: bool = False
    is_stubborn: bool = False
    has_lock: bool = False
    is_paused: bool = False
    waits_since: float = 0.0
    status: ExitStatus = field(default_factory=ExitStatus)
    channel: "Channel[Any] | None" = None
    runtime: TaskRuntime | None = None

    def __repr__(self) -> str:
        return f"{self.title or self.kind} {self.pid - FIRST_PID}"


class PlayedReaper:
    """Ends of played processes; unknown ones wait while a fork is under way."""

    def __init__(self, processes: Mapping[int, Process]) -> None:
        self._processes = processes
        self._watched: dict[int, Callable[[ExitStatus], None]] = {}
        self._pending = 0

    def start(self, _on_orphan: Callable[[int], None]) -> None:
        """Nothing to do."""

    def watch(
        self, pid: int, on_exit: Callable[[ExitStatus], None], *, kills_group: bool = False
    ) -> int:
        del kills_group
        process = self._processes[pid]
        if process.is_reaped:
            raise ProcessLookupError(3, "No such process")
        self._watched[pid] = on_exit
        if not process.is_alive:
            asyncio.get_running_loop().call_soon(self.ended, pid)
        return pid

    def is_watched(self, pid: int) -> bool:
        return pid in self._watched

    def fork_begins(self) -> None:
        self._pending += 1

    def fork_ends(self) -> None:
        self._pending -= 1
        if not self._pending:
            self.reap()

    def reap(self) -> None:
        if not self._pending:
            for process in self._processes.values():
                if not process.is_alive and process.pid not in self._watched:
                    process.is_reaped = True

    def ended(self, pid: int) -> None:
        on_exit = self._watched.pop(pid, None)
        if on_exit is None:
            self.reap()
            return
        self._processes[pid].is_reaped = True
        on_exit(self._processes[pid].status)
