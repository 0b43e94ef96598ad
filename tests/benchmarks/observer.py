"""Watching a contender from outside: what has arrived, when, and what its processes use."""

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from confluent_kafka import Consumer, TopicPartition

_INTERVAL: Final = 0.004
_MEMORY_INTERVAL: Final = 0.2
_TIMEOUT: Final = 180.0


class BenchmarkError(Exception):
    """A contender did not do its job; the text says what is known."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run.

    The rate is taken between the first and the last record; CPU is all that the processes have used
    from the command to the last record: who starts cheaply or compiles while it runs pays for it.
    """

    records_per_second: float
    cpu_seconds_per_million: float
    first_record_seconds: float


class TopicEnd:
    """How many records a topic with one partition has."""

    def __init__(self, brokers: str, topic: str) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": brokers, "group.id": "observer", "log_level": 0}
        )
        self._partition = TopicPartition(topic, 0)

    def count(self) -> int:
        """Asks the broker."""
        return int(self._consumer.get_watermark_offsets(self._partition, timeout=10)[1])

    def close(self) -> None:
        """Forget the connection."""
        self._consumer.close()


class FileEnd:
    """How many lines of a fixed length a file has."""

    def __init__(self, path: Path, line_bytes: int) -> None:
        self._path = path
        self._line_bytes = line_bytes

    def count(self) -> int:
        """Looks at its size."""
        try:
            return self._path.stat().st_size // self._line_bytes
        except FileNotFoundError:
            return 0


def observe(
    process: "subprocess.Popen[bytes]", started: float, count: Callable[[], int], total: int
) -> Measured:
    """Wait until everything has arrived.

    Args:
        started: when the command was given, by the monotonic clock.
        count: how many records have arrived.
        total: how many there are to be.

    Raises:
        BenchmarkError: the contender died, or time is over.
    """
    _wait(process, lambda: count() > 0, started)
    seen, first = count(), time.monotonic()
    _wait(process, lambda: count() >= total, started)
    last, cpu = time.monotonic(), cpu_seconds(process.pid)
    moved = total - seen
    if moved <= 0:
        raise BenchmarkError("all records came at once: take more lines")
    return Measured(moved / (last - first), cpu / total * 1e6, first - started)


def peak_memory(
    process: "subprocess.Popen[bytes]",
    measure: Callable[[int], float],
    count: Callable[[], int],
    total: int,
) -> float:
    """The most memory that a contender has used until everything has arrived.

    Args:
        measure: gives the memory of a process number.
    """
    started = time.monotonic()
    samples: list[float] = []
    taken = 0.0

    def is_done() -> bool:
        nonlocal taken
        if time.monotonic() - taken > _MEMORY_INTERVAL:
            samples.append(measure(process.pid))
            taken = time.monotonic()
        return count() >= total

    _wait(process, is_done, started)
    return max(samples)


def _wait(
    process: "subprocess.Popen[bytes]", is_reached: Callable[[], bool], started: float
) -> None:
    while not is_reached():
        if process.poll() is not None:
            raise BenchmarkError(f"{process.args!r} ended with {process.returncode}")
        if time.monotonic() - started > _TIMEOUT:
            raise BenchmarkError(f"{process.args!r} was not done after {_TIMEOUT:.0f} s")
        select.select([], [], [], _INTERVAL)


def tree_of(pid: int) -> list[psutil.Process]:
    """A process and all its descendants."""
    top = psutil.Process(pid)
    return [top, *top.children(recursive=True)]


def cpu_seconds(pid: int) -> float:
    """What a process and its living descendants have used."""
    used = 0.0
    for process in tree_of(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used += times.user + times.system
    return used


def run_seconds(pid: int) -> float:
    """What all threads of a process have run, by the scheduler's own nanoseconds."""
    used = 0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            used += int(thread.read_text("ascii").split()[0])
    return used / 1e9


def rss_mib(pid: int) -> float:
    """Resident memory of a process alone."""
    return float(psutil.Process(pid).memory_info().rss) / 2**20


def pss_mib(pid: int) -> float:
    """Proportional memory of a process and its descendants."""
    return sum(pss_bytes(process.pid) for process in tree_of(pid)) / 2**20


def pss_bytes(pid: int) -> int:
    """Memory of a process, shared pages divided among those who share them."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def warm(path: Path) -> None:
    """Bring a file into the page cache."""
    with path.open("rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
        while file.read(1 << 20):
            pass
