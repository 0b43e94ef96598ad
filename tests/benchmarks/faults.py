"""What faults cost: hanging tasks, a killed supervisor, many restarts, a flood of output."""

import contextlib
import json
import mmap
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import psutil

from engine.model.task_id import TaskId
from tests.benchmarks.crowd import scrape_median
from tests.benchmarks.figure import Figure, most_of, p99_of
from tests.benchmarks.observer import BenchmarkError, pss_bytes, tree_of
from tests.benchmarks.worker import RESTARTS, Worker, end_all, is_alive, pause, running, sources

_TIMEOUT: Final = 120.0
_HANG_DEADLINE: Final = 2.0
_HANGING: Final = 10
_GRACE: Final = 5.0  # the default of task.shutdown.graceful.timeout.ms
_PATIENT: Final = {"engine.heartbeat.timeout.ms": "600000"}
_KILLED_AT_ONCE: Final = 50
_AT_FIRST: Final = 10
"""Restarts of each task before the first look, by which the state file has been written anew."""
_FLOOD: Final = 100_000_000
_FLOOD_SECONDS: Final = 20.0


@contextmanager
def watched(brokers: str, count: int, more: Mapping[str, str]) -> Iterator[tuple[Worker, Any]]:
    """A worker with one connector of so many tasks, all RUNNING, and the tasks' marks."""
    with TemporaryDirectory(prefix="bench-watched-") as name:
        marks = Path(name) / "marks"
        marks.write_bytes(bytes(8 * count))
        config = {
            "name": "watched", "connector.class": "watched.WatchedConnector",
            "tasks.max": str(count), "marks.file": str(marks), **more,
        }  # fmt: skip
        worker = Worker(brokers, Path(name), RESTARTS)
        with marks.open("r+b") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
            words = memoryview(memory).cast("q")
            try:
                worker.start([config])
                worker.wait_tasks(count, lambda task: task["condition"] == "RUNNING")
                yield worker, words
            finally:
                worker.stop()
                words.release()


def _until(what: str, is_so: Callable[[], bool], interval: float = 0.01) -> None:
    deadline = time.monotonic() + _TIMEOUT
    while not is_so():
        if time.monotonic() > deadline:
            raise BenchmarkError(f"not after {_TIMEOUT:.0f} s: {what}")
        pause(interval)


def hang_figures(brokers: str, count: int) -> list[Figure]:
    """SIGSTOP for some tasks, each at a moment of its own, and when the engine says so.

    A deadline counts from the task's last heartbeat.
    """
    more = {**RESTARTS, "engine.heartbeat.timeout.ms": str(int(_HANG_DEADLINE * 1000))}
    chance = random.Random(3)
    with running(brokers, sources(min(count, 2 * _HANGING)), more) as worker:
        slots = worker.slots()
        due: dict[int, float] = {}
        over: list[float] = []
        for task in worker.tasks()[:_HANGING]:
            pause(chance.uniform(0, 0.2))
            os.kill(task["pid"], signal.SIGSTOP)
            beat = slots[TaskId(**task["id"]).file_stem]["heartbeat_ns"] / 1e9
            due[task["pid"]] = beat + _HANG_DEADLINE

        def all_seen() -> bool:
            well = {task["pid"] for task in worker.tasks() if task["condition"] == "RUNNING"}
            now = time.monotonic()
            over.extend(now - due.pop(pid) for pid in due.keys() - well)
            return not due

        _until("stopped tasks are seen as hanging", all_seen)
    return [most_of("hang_detect_over_deadline_s", "s", "<= 1", over)]


def orphan_figures(brokers: str, count: int) -> list[Figure]:
    """SIGKILL for the supervisor, and when each of its tasks is in its handler of SIGTERM."""
    with watched(brokers, count, {}) as (worker, marks):
        killed = time.monotonic_ns()
        worker.kill()
        _until("every task has noticed that it is an orphan", lambda: all(marks))
        times = [(noticed - killed) / 1e6 for noticed in marks]
    return [most_of("orphan_notice_ms", "ms", "<= 100", times)]


def stop_figures(brokers: str, count: int) -> list[Figure]:
    """SIGTERM for the supervisor; every tenth task is deaf to it and stuck."""
    with watched(brokers, count, {"deaf.every": "10", **_PATIENT}) as (worker, _marks):
        tree = tree_of(worker.pid)
        started = time.monotonic()
        worker.terminate()
        over = max(0.0, time.monotonic() - started - _GRACE)
        survivors = float(sum(map(is_alive, tree)))
        end_all(tree)
    return [
        Figure(f"stop_{count}_over_grace_s", over, "s", "<= 5", (over,)),
        Figure(f"stop_{count}_survivors", survivors, "", "<= 0", (survivors,)),
    ]


@dataclass(frozen=True, slots=True)
class Belongings:
    """What the engine holds for itself while its tasks run."""

    descriptors: int
    zombies: int
    series: int
    files: int
    mib: float

    @classmethod
    def of(cls, worker: Worker) -> "Belongings":
        """Take stock, in some looks.

        Spare processes come and go meanwhile, so the least counts; but the most of the series,
        which a task that has just begun has not all of.
        """
        looks = []
        for _ in range(10):
            pause(0.3)
            looks.append(cls._look(worker))
        columns = zip(*looks, strict=True)
        descriptors, zombies, series, files, mib = columns
        return cls(
            int(min(descriptors)), int(min(zombies)), int(max(series)), int(min(files)), min(mib)
        )

    @staticmethod
    def _look(worker: Worker) -> tuple[float, ...]:
        own = (worker.pid, json.loads(worker.get("/engine/worker"))["herder_pid"])
        zombies = 0
        for process in tree_of(worker.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                zombies += process.status() == psutil.STATUS_ZOMBIE
        lines = worker.get("/metrics").splitlines()
        return (
            sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in own),
            zombies,
            sum(not line.startswith(b"#") for line in lines),
            sum(path.is_file() for path in worker.folder.rglob("*")),
            sum(pss_bytes(pid) for pid in own) / 2**20,
        )

    def growth_to(self, other: "Belongings") -> tuple[float, ...]:
        """How many more descriptors, zombies, series and files the other has."""
        pairs = (
            (self.descriptors, other.descriptors), (self.zombies, other.zombies),
            (self.series, other.series), (self.files, other.files),
        )  # fmt: skip
        return tuple(float(max(0, after - before)) for before, after in pairs)


def restart_figures(brokers: str, restarts: int) -> list[Figure]:
    """What is left of many restarts. Some come before the first look: they make what stays."""
    count = min(_KILLED_AT_ONCE, max(1, restarts // 5))
    with running(brokers, sources(count), RESTARTS) as worker:
        kill_times(worker, count, _AT_FIRST * count)
        before, scrape_before = Belongings.of(worker), scrape_median(worker)
        started = time.monotonic()
        kill_times(worker, count, restarts)
        seconds = time.monotonic() - started
        after, scrape_after = Belongings.of(worker), scrape_median(worker)
    growth, more = before.growth_to(after), after.mib - before.mib
    ratio, rate = scrape_after / scrape_before, restarts / seconds
    return [
        Figure(f"restarts_{restarts}_growth", sum(growth), "", "<= 0", growth),
        Figure(f"restarts_{restarts}_growth_mib", more, "MiB", "<= 5", (more,)),
        Figure("scrape_growth", ratio, "ratio", "<= 1.1", (ratio,)),
        Figure("restarts_per_second", rate, "1/s", None, (rate,)),
    ]


def kill_times(worker: Worker, count: int, kills: int) -> None:
    """Kill all tasks again and again, so many times in all."""
    done = 0
    while done < kills:
        tasks = worker.wait_tasks(count, lambda task: task["condition"] == "RUNNING")
        for task in tasks[: kills - done]:
            done += _kill(worker, task["pid"])
    worker.wait_tasks(count, lambda task: task["condition"] == "RUNNING")


def _kill(worker: Worker, pid: int | None) -> bool:
    """SIGKILL, unless the process is another's by now: news of a death may be on its way."""
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
        if pid is not None and psutil.Process(pid).ppid() == worker.pid:
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def flood_figures(brokers: str) -> list[Figure]:
    """How late the supervisor's loop is while one task prints without end; its own measure."""
    lags: list[float] = []
    more = {"flood.bytes.per.second": str(_FLOOD)}
    with watched(brokers, 1, more) as (worker, marks):
        started, printed = time.monotonic(), marks[0]
        while time.monotonic() - started < _FLOOD_SECONDS:
            pause(0.5)
            lags.append(json.loads(worker.get("/engine/worker"))["loop_lag_seconds"] * 1000)
        rate = (marks[0] - printed) / (time.monotonic() - started) / 1e6
    return [
        p99_of("log_flood_lag_p99_ms", "ms", "<= 50", lags),
        Figure("log_flood_mb_per_s", rate, "MB/s", None, (rate,)),
    ]
