"""What was done to whom, and since when it is well again. Pure: it is told what was seen.

Times are seconds by CLOCK_MONOTONIC. Where a process says itself since when it is ready, that
counts, so nothing depends on how often somebody looks.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from engine.cli.chaos.fault import OF_A_TASK, OF_ALL, Fault
from engine.cli.chaos.plan import Injection

RUNNING: Final = "RUNNING"


@dataclass(frozen=True, slots=True)
class TaskSeen:
    """A task at one look.

    Attributes:
        condition: a value of :class:`engine.model.state.Condition`.
        started_at: when its ``start()`` had returned; None while it has not.
        committed_at: of its last commit by this process.
        restarts: how often it was started again, by anybody.
    """

    pid: int | None
    generation: int
    condition: str
    started_at: float | None = None
    committed_at: float | None = None
    restarts: int = 0
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the engine says at one look.

    Attributes:
        at: when it had answered.
        tasks: by name, ``connector-0``.
        zygote_pid: None while it cannot fork.
    """

    at: float
    tasks: Mapping[str, TaskSeen] = field(default_factory=dict)
    supervisor_pid: int | None = None
    herder_pid: int | None = None
    zygote_pid: int | None = None
    zygote_ready_at: float | None = None


@dataclass(slots=True)
class Wound:
    """An injection that was carried out.

    Attributes:
        target: a task's name, or what was hurt.
        before: how things were.
        since: from when its recovery is counted; None until the way is free for that.
        seconds: how long it took; None until it is over.
    """

    injection: Injection
    target: str
    before: Snapshot
    at: float
    since: float | None
    seconds: float | None = None

    @property
    def fault(self) -> Fault:
        """What was done."""
        return self.injection.fault


class Ledger:
    """All wounds of a run.

    Args:
        expected: the tasks that must all come back.
    """

    def __init__(self, expected: frozenset[str]) -> None:
        self._expected = expected
        self.wounds: list[Wound] = []
        self.skipped: list[Injection] = []

    def inject(self, injection: Injection, target: str, before: Snapshot, at: float) -> Wound:
        """It was done. Nobody is well before what has to be undone, or to start, is there again."""
        is_open = injection.fault in (Fault.DISK_FULL, Fault.KILL_BROKER, Fault.BROKER_RESTART)
        wound = Wound(injection, target, before, at, None if is_open else at)
        self.wounds.append(wound)
        return wound

    def skip(self, injection: Injection) -> None:
        """There was nothing that it could be done to."""
        self.skipped.append(injection)

    def see(self, snapshot: Snapshot) -> list[Wound]:
        """The wounds that are healed by now and were not before."""
        healed = []
        for wound in self.open:
            over = self._healed_at(wound, snapshot)
            if over is not None:
                began = wound.since if wound.fault is Fault.DISK_FULL else wound.at
                wound.seconds = max(0.0, over - (wound.at if began is None else began))
                healed.append(wound)
        return healed

    @property
    def open(self) -> list[Wound]:
        """What is not healed yet."""
        return [wound for wound in self.wounds if wound.seconds is None]

    def can_take(self, fault: Fault) -> bool:
        """Whether a fault may come now, by what is still open."""
        kinds = {wound.fault for wound in self.open}
        if fault in OF_ALL:
            return not kinds & OF_ALL
        return Fault.KILL_SUPERVISOR not in kinds and (fault in OF_A_TASK or fault not in kinds)

    def free_tasks(self, snapshot: Snapshot, most: int | None) -> list[str]:
        """Tasks that run and have healed; those that were hurt the least, in alphabetical order.

        Args:
            most: how often one task may be hurt; None for any number.
        """
        hurt = {wound.target for wound in self.open if wound.fault in OF_A_TASK}
        counts = {name: self._hurts_of(name) for name in self._expected}
        free = [
            name
            for name, task in snapshot.tasks.items()
            if task.condition == RUNNING and task.pid and name in counts and name not in hurt
        ]
        least = min((counts[name] for name in free), default=0)
        if most is not None and least >= most:
            return []
        return sorted(name for name in free if counts[name] == least)

    def _hurts_of(self, name: str) -> int:
        return sum(w.target == name and w.fault in OF_A_TASK for w in self.wounds)

    def _healed_at(self, wound: Wound, now: Snapshot) -> float | None:
        match wound.fault:
            case Fault.KILL_TASK | Fault.STOP | Fault.OOM:
                return _fresh_since(wound.before, now, wound.target)
            case Fault.KILL_HERDER:
                is_other = now.herder_pid not in (None, wound.before.herder_pid)
                return now.at if is_other and self._expected <= now.tasks.keys() else None
            case Fault.KILL_ZYGOTE:
                is_other = now.zygote_pid not in (None, wound.before.zygote_pid)
                return now.zygote_ready_at if is_other else None
            case Fault.KILL_SUPERVISOR:
                return _latest(_fresh_since(wound.before, now, name) for name in self._expected)
            case Fault.KILL_BROKER | Fault.BROKER_RESTART | Fault.DISK_FULL:
                since = wound.since
                if since is None:
                    return None
                return _latest(_committed_since(since, now, name) for name in self._expected)


def _fresh_since(before: Snapshot, now: Snapshot, name: str) -> float | None:
    """Since when another process of a task runs; None while none does."""
    then, task = before.tasks.get(name), now.tasks.get(name)
    if task is None or task.condition != RUNNING:
        return None
    return task.started_at if then is None or task.generation > then.generation else None


def _committed_since(since: float, now: Snapshot, name: str) -> float | None:
    """When a task that runs has last committed, if that was later."""
    task = now.tasks.get(name)
    if task is None or task.condition != RUNNING or task.committed_at is None:
        return None
    return task.committed_at if task.committed_at > since else None


def _latest(times: Iterable[float | None]) -> float | None:
    """The last of them; None while one is missing."""
    latest = 0.0
    for each in times:
        if each is None:
            return None
        latest = max(latest, each)
    return latest
