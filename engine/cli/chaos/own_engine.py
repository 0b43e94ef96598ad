"""An engine that chaos starts: with its own Apache Kafka, file sources and file sinks."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engine.cli.chaos import processes
from engine.cli.chaos.fault import Fault
from engine.cli.chaos.lines import Stream, Tally, tally, whole_lines
from engine.cli.chaos.own_work import WorkDir
from engine.cli.chaos.recovery import RUNNING, Snapshot, Wound
from engine.cli.chaos.small_disk import SmallDisk
from engine.cli.chaos.target import TargetError
from engine.cli.child_engine import ChildEngine, ChildEngineError, last_words
from engine.kafka.embedded.port import choose_port

DISK_BYTES: Final = 96 << 20
_BROKER: Final = "kafka.Kafka"
_ZYGOTE: Final = "engine: zygote"
_HERDER: Final = "engine: herder"
_READY: Final = 180.0
_FULL_FOR: Final = 3.0
_START_AGAIN: Final = 0.5
_LOOK: Final = 0.3


class OwnEngine:
    """See :class:`engine.cli.chaos.target.Target`.

    Args:
        path: the work directory, which is not there yet or empty.
        pairs: how many sources, with a sink each.
        rate: lines a second for each source.
        needs_disk: a fault is to fill the disk.

    Raises:
        NoDiskError: it needs one and cannot have one.
    """

    is_own = True
    most_per_task: int | None = None

    def __init__(self, path: Path, pairs: int, rate: float, *, needs_disk: bool) -> None:
        self._work = WorkDir(path, pairs)
        self._disk = SmallDisk(self._work.disk, DISK_BYTES) if needs_disk else None
        port = choose_port()
        self._engine = ChildEngine(self._work.write(port), self._work.log, port)
        self._streams = [Stream(pair.number, pair.input, rate) for pair in self._work.pairs]
        self._is_writing = True
        self._start_at: float | None = None
        self._free_at: float | None = None
        self._freed_at = 0.0
        self._forgiving_until = 0.0
        self._broker_before: int | None = None
        self._left: list[str] = []
        self.url = self._engine.url

    @property
    def tasks(self) -> frozenset[str]:
        """The names of all tasks."""
        pairs = self._work.pairs
        return frozenset(f"{name}-0" for pair in pairs for name in (pair.source, pair.sink))

    def start(self) -> None:
        """Execute it; it is ready when all its tasks run and have committed."""
        self._engine.start()
        self._start_at = None

    def is_ready(self, seen: Snapshot) -> bool:
        """Whether records move everywhere."""
        found = [seen.tasks[name] for name in self.tasks & seen.tasks.keys()]
        is_moving = all(t.condition == RUNNING and t.committed_at for t in found)
        return len(found) == len(self.tasks) and is_moving

    def tick(self, now: float) -> None:
        """See the protocol."""
        if self._is_writing:
            self._write(now)
        if self._free_at is not None and now >= self._free_at:
            self._free()
        if self._start_at is not None:
            if now >= self._start_at:
                self.start()
            return
        try:
            self._engine.check()
        except ChildEngineError as error:
            if self._free_at is None and now > self._forgiving_until:
                raise TargetError(str(error)) from error
            self._start_at = now + _START_AGAIN  # as a service manager would do

    def _write(self, now: float) -> None:
        try:
            for stream in self._streams:
                stream.write_due(now)
        except OSError as error:
            raise TargetError(f"{self._work.path}: {error.strerror}") from error

    # ---- faults -------------------------------------------------------------------------------

    def hurt(self, fault: Fault, task: str | None, seen: Snapshot) -> str | None:
        """See the protocol."""
        if self._start_at is not None:
            return None
        try:
            return self._hurt(fault, task, seen)
        except processes.NotOursError:
            return None  # it ended by itself a moment ago

    def _hurt(self, fault: Fault, task: str | None, seen: Snapshot) -> str | None:
        match fault:
            case Fault.KILL_TASK | Fault.STOP if task is not None:
                number = signal.SIGKILL if fault is Fault.KILL_TASK else signal.SIGSTOP
                title = f"engine: task {task}"
                return task if self._send(seen.tasks[task].pid, number, title) else None
            case Fault.OOM if task is not None:
                self._work.cue_of(task).touch()
                return task
            case Fault.KILL_HERDER:
                return "herder" if self._send(seen.herder_pid, signal.SIGKILL, _HERDER) else None
            case Fault.KILL_ZYGOTE:
                return "zygote" if self._send(seen.zygote_pid, signal.SIGKILL, _ZYGOTE) else None
            case Fault.KILL_SUPERVISOR:
                return self._kill_supervisor()
            case Fault.KILL_BROKER | Fault.BROKER_RESTART:
                return self._end_broker(fault)
            case Fault.DISK_FULL if self._disk is not None:
                self._disk.fill()
                self._free_at = time.monotonic() + _FULL_FOR
                return "disk"
            case _:
                return None

    def _send(self, pid: int | None, number: signal.Signals, title: str) -> bool:
        if pid is not None:
            processes.send(pid, number, self._engine.pid, title)
        return pid is not None

    def _kill_supervisor(self) -> str:
        self._engine.kill()
        self._start_at = now = time.monotonic()
        self._forgiving_until = now + _READY
        return "supervisor"

    def _end_broker(self, fault: Fault) -> str | None:
        pid = processes.child_with(self._engine.pid, _BROKER)
        self._broker_before = pid
        number = signal.SIGKILL if fault is Fault.KILL_BROKER else signal.SIGTERM
        return "broker" if self._send(pid, number, _BROKER) else None

    def resumed_at(self, wound: Wound) -> float | None:
        """See the protocol."""
        if wound.fault is Fault.DISK_FULL:
            return self._freed_at if self._free_at is None else None
        if self._start_at is not None:
            return None
        pid = processes.child_with(self._engine.pid, _BROKER)
        return time.monotonic() if pid not in (None, self._broker_before) else None

    def calm(self) -> None:
        """See the protocol."""
        if self._free_at is not None:
            self._free()

    def _free(self) -> None:
        self._free_at, self._freed_at = None, time.monotonic()
        if self._disk is not None:
            self._disk.free()

    # ---- the end ------------------------------------------------------------------------------

    def finish(self, seconds: float, is_urgent: Callable[[], bool]) -> Tally | None:
        """See the protocol."""
        self.calm()
        self._is_writing = False
        deadline, pause = time.monotonic() + seconds, threading.Event()
        while not all(map(self._has_arrived, range(len(self._streams)))):
            if time.monotonic() > deadline or is_urgent():
                break
            self.tick(time.monotonic())
            pause.wait(_LOOK)
        self._left = list(self._engine.stop(is_urgent))
        parts = zip(self._streams, self._work.pairs, strict=True)
        return sum(
            (tally(s.number, s.written, whole_lines(pair.output)) for s, pair in parts), Tally()
        )

    def _has_arrived(self, index: int) -> bool:
        """Whether every line is there."""
        stream, pair = self._streams[index], self._work.pairs[index]
        if not pair.output.exists() or pair.output.stat().st_size < pair.input.stat().st_size:
            return False
        return tally(stream.number, stream.written, whole_lines(pair.output)).lost == 0

    def close(self, *, keeps: bool = False) -> list[str]:
        """See the protocol.

        Args:
            keeps: what is on the disk that may be filled is to stay, too.
        """
        left = [*self._left, *self._engine.stop(lambda: True)]
        for stream in self._streams:
            with contextlib.suppress(OSError):
                stream.close()
        if self._disk is not None:
            self._disk.close(self._work.path / "disk.kept" if keeps else None)
        return left

    def last_words(self) -> str:
        """What the engine has said last."""
        return last_words(self._work.log)
