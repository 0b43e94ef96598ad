"""What the supervisor has said of every task: reports, slots, samples, and who waits for what."""

import asyncio
import mmap
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from engine.herder.herder import InstanceState, TaskCounters, TaskView
from engine.herder.sampler import Sample
from engine.model.death import Death
from engine.model.explanation import Facts, explain
from engine.model.slot import SLOT_BYTES, Slot
from engine.model.state import ALIVE, ON_THE_WIRE, Condition, State
from engine.model.task_id import TaskId
from engine.wire.herder_message import TaskEvent, TaskReport

_HAS_FAILED: Final = (Condition.FAILED, Condition.BACKOFF, Condition.UNKILLABLE)
_WILL_START_ANEW: Final = ALIVE | {Condition.FAILED, Condition.BACKOFF}
_ENDS_RESTART: Final = frozenset(("failed", "backoff", "gone"))


class TaskTable:
    """Reports by task.

    Args:
        worker_id: ``host:port`` that every status carries.
        log_dir: where the supervisor writes what the tasks print.
    """

    def __init__(self, worker_id: str, log_dir: Path) -> None:
        self._worker_id = worker_id
        self._log_dir = log_dir
        self._reports: dict[TaskId, tuple[TaskReport, int]] = {}
        self._deaths: dict[TaskId, Death] = {}
        self._slots: dict[TaskId, Slot] = {}
        self._samples: dict[TaskId, Sample] = {}
        self._former_cpu: defaultdict[TaskId, float] = defaultdict(float)
        self._lost: dict[TaskId, int] = {}
        self._restarting: dict[TaskId, int] = {}
        self._leaving: set[TaskId] = set()
        self._changed = asyncio.Event()

    def __iter__(self) -> Iterator[TaskId]:
        return iter(sorted(self._reports))

    def remember(self, reports: Mapping[TaskId, TaskReport]) -> None:
        """Last words of an earlier life, for tasks that nobody has told us about."""
        for task, report in reports.items():
            if task not in self._reports:
                stopped = msgspec.structs.replace(
                    report, condition=Condition.STOPPED, pid=None, note=None, retry_in=None
                )
                self._reports[task] = (stopped, time.monotonic_ns())

    def snapshot(
        self, report: TaskReport, descriptors: Sequence[int], death: Death | None = None
    ) -> None:
        """A task as it stands, with its slot, and how its last process ended."""
        task = TaskId(report.connector, report.task)
        if death is not None:
            self._deaths[task] = death
        self._reports[task] = (self._whole(task, report), time.monotonic_ns())
        for fd in descriptors:
            memory = mmap.mmap(fd, SLOT_BYTES, mmap.MAP_SHARED, mmap.PROT_READ)
            self._slots[task] = Slot(memoryview(memory))
            os.close(fd)

    def apply(self, event: TaskEvent) -> None:
        """A task changed."""
        report = event.report
        task = TaskId(report.connector, report.task)
        noted = self._restarting.get(task)
        if noted is not None and (report.generation > noted or event.event in _ENDS_RESTART):
            del self._restarting[task]
        if event.death is not None:
            self._deaths[task] = event.death
        if event.event == "gone":
            self._reports.pop(task, None)
            self._deaths.pop(task, None)
            self._slots.pop(task, None)
            self._samples.pop(task, None)
            self._former_cpu.pop(task, None)
            self._lost.pop(task, None)
            self._leaving.discard(task)
        else:
            self._reports[task] = (self._whole(task, report), event.monotonic_ns)
        if event.event == "unkillable":  # nobody need wait for it any longer
            self._leaving.discard(task)
        self._changed.set()

    def processes(self) -> dict[int, TaskId]:
        """The tasks that have a process, by its pid."""
        return {report.pid: t for t, (report, _) in self._reports.items() if report.pid}

    def sampled(self, samples: Iterable[Sample]) -> None:
        """What processes use; what one has used of a CPU at its last measure stays."""
        for sample in samples:
            task = TaskId(sample.connector, sample.task)
            last = self._samples.get(task)
            if last is not None and not last.is_followed_by(sample):
                self._former_cpu[task] += last.cpu_seconds
            self._samples[task] = sample

    def lost(self, lost: Iterable[tuple[str, int, int]]) -> None:
        """How many bytes of their output were lost so far: connector, task, bytes."""
        for connector, number, size in lost:
            self._lost[TaskId(connector, number)] = size

    def restarting(self, task: TaskId) -> None:
        """A fresh process was ordered: the state reads RESTARTING until its first event."""
        found = self._reports.get(task)
        if found is not None and found[0].condition in _WILL_START_ANEW:
            self._restarting[task] = found[0].generation

    def is_backing_off(self, task: TaskId) -> bool:
        """Whether the task failed and waits for its next start."""
        found = self._reports.get(task)
        return found is not None and found[0].condition == Condition.BACKOFF

    def state_of(self, task: TaskId, version: str | None) -> InstanceState:
        """The task's state in upstream's words."""
        found = self._reports.get(task)
        if found is None:
            return InstanceState(State.UNASSIGNED, self._worker_id, version)
        report = found[0]
        if task in self._restarting:
            return InstanceState(State.RESTARTING, self._worker_id, version)
        condition = Condition(report.condition)
        trace = self._trace(task) if condition in _HAS_FAILED else None
        return InstanceState(ON_THE_WIRE[condition], self._worker_id, version, trace)

    def _trace(self, task: TaskId) -> str | None:
        """Why the task is not running; its first line is ``Type: message``."""
        report = _as_of(time.monotonic_ns(), *self._reports[task])
        death = self._deaths.get(task)
        if death is None or report.condition == Condition.UNKILLABLE:
            return report.trace or report.reason
        return explain(Facts(task, death, report.condition, report.retry_in))

    def _whole(self, task: TaskId, report: TaskReport) -> TaskReport:
        """The report with the trace that its sender leaves to the death."""
        death = self._deaths.get(task)
        if report.trace or death is None:
            return report
        trace = None if report.trace is None else death.trace
        return msgspec.structs.replace(report, trace=trace)

    def are_on_their_way(self, count: int) -> bool:
        """Whether there are so many tasks, and each has moved a record or is in no hurry to."""
        return len(self._reports) >= count and all(
            report.condition not in (Condition.STARTING, Condition.RUNNING)
            or (task in self._slots and self._slots[task]["first_ack_ns"] > 0)
            for task, (report, _) in self._reports.items()
        )

    def expect(self, task: TaskId) -> None:
        """The supervisor was told to run it."""
        self._leaving.discard(task)
        self._changed.set()

    def leave(self, tasks: Iterable[TaskId]) -> None:
        """The supervisor was told to end these; it will say of each that it is gone."""
        self._leaving.update(tasks)

    async def wait_gone(self, connector: str) -> None:
        """Wait until no process is left of the connector's tasks that were to end."""
        while any(task.connector == connector for task in self._leaving):
            self._changed.clear()
            await self._changed.wait()

    def has_any(self, connector: str) -> bool:
        """Whether the supervisor knows a task of the connector; its process may still live."""
        return any(task.connector == connector for task in (*self._reports, *self._leaving))

    def counters(self) -> list[TaskCounters]:
        """Every task's, in no order."""
        found = []
        for task, (report, _) in self._reports.items():
            slot = self._slots.get(task)
            records = (slot["records_in"], slot["records_out"]) if slot is not None else (0, 0)
            found.append(TaskCounters(task, report.pid, *records, self._samples.get(task)))
        return found

    def views(self, types: Mapping[str, str]) -> list[TaskView]:
        """Every task that the supervisor knows.

        Args:
            types: ``source`` or ``sink`` by connector.
        """
        now = time.monotonic_ns()
        return [
            TaskView(
                id=task,
                type=types.get(task.connector, "unknown"),
                report=_as_of(now, *self._reports[task]),
                slot=self._slots[task].values() if task in self._slots else {},
                sample=self._samples.get(task),
                former_cpu_seconds=self._former_cpu.get(task, 0.0),
                log_file=self._log_dir / f"{task.file_stem}.log",
                death=self._deaths.get(task),
                log_lost_bytes=self._lost.get(task, 0),
            )
            for task in self
        ]


def _as_of(now: int, report: TaskReport, told: int) -> TaskReport:
    if report.retry_in is None:
        return report
    left = max(0.0, report.retry_in - (now - told) / 1e9)
    return msgspec.structs.replace(report, retry_in=round(left, 3))
