"""What a crowd of idle tasks costs: their start, their memory, the supervisor's CPU, a scrape."""

import contextlib
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from engine.model.slot import Slot
from tests.benchmarks.figure import Figure, median_of
from tests.benchmarks.observer import BenchmarkError, pss_bytes, run_seconds, tree_of
from tests.benchmarks.worker import Worker, idle_memory, pause

_TIMEOUT: Final = 120.0
_WINDOW: Final = 10.0
_WINDOWS: Final = 2
_SCRAPES: Final = 20


def start_figures(worker: Worker, count: int) -> list[Figure]:
    """From the command to the last task's ``start()``, and to its first acknowledged record.

    The times are those that the tasks write into their slots: nobody is asked meanwhile.
    """
    slots = _wait_connected(worker, count)
    figures = []
    for name, field, goal in (
        (f"start_{count}_s", "started_ns", "<= 8"),
        (f"connected_{count}_s", "first_ack_ns", "<= 20"),
    ):
        last = max(slot[field] for slot in slots.values())
        figures.append(
            Figure(name, seconds := (last - worker.started_ns) / 1e9, "s", goal, (seconds,))
        )
    return figures


def _wait_connected(worker: Worker, count: int) -> Mapping[str, Slot]:
    deadline = time.monotonic() + _TIMEOUT
    slots: Mapping[str, Slot] = {}
    while len(slots) < count or not all(slot["first_ack_ns"] for slot in slots.values()):
        if time.monotonic() > deadline:
            there = sum(bool(slot["first_ack_ns"]) for slot in slots.values())
            raise BenchmarkError(f"{there} of {count} tasks are connected after {_TIMEOUT:.0f} s")
        pause(0.5)
        if len(slots) < count:
            slots = worker.slots()
    return slots


def idle_figures(worker: Worker, count: int) -> list[Figure]:
    """Memory and CPU while nothing moves, in percent of one core."""
    memory = idle_memory(worker)
    alone, tree, switches = [], [], []
    for _ in range(_WINDOWS):
        before, started = _spent(worker), time.monotonic()
        pause(_WINDOW)
        after, seconds = _spent(worker), time.monotonic() - started
        share = {pid: after[pid][0] - before[pid][0] for pid in after.keys() & before.keys()}
        woken = sum(after[pid][1] - before[pid][1] for pid in after.keys() & before.keys())
        alone.append(share[worker.pid] / seconds * 100)
        tree.append(sum(share.values()) / seconds * 100)
        switches.append(woken / seconds / count)
    own = [pss_bytes(worker.pid) / 2**20]
    open_files = [float(len(list(Path(f"/proc/{worker.pid}/fd").iterdir()))) / count]
    return [
        median_of("idle_cpu_percent", "%", "<= 0.5", alone),
        median_of("idle_memory_mib", "MiB", "<= 30", own),
        median_of("tree_idle_cpu_percent", "%", "<= 15", tree),
        median_of("idle_wakeups_per_task_second", "1/s", None, switches),
        median_of("supervisor_descriptors_per_task", "", None, open_files),
        median_of("source_task_pss_mib", "MiB", "<= 4.5", memory),
    ]


def _spent(worker: Worker) -> dict[int, tuple[float, int]]:
    """CPU seconds and switches by process of the whole tree."""
    found = {}
    for process in tree_of(worker.pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found[process.pid] = run_seconds(process.pid), _switches(process.pid)
    return found


def _switches(pid: int) -> int:
    """How often all threads of a process have gone to sleep."""
    found = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            lines = status.read_text("ascii", "replace").splitlines()
            found += sum(int(x.split()[1]) for x in lines if x.startswith("voluntary_ctxt"))
    return found


def scrape_figures(worker: Worker, count: int) -> list[Figure]:
    """One scrape of everything."""
    times, size = scrape(worker)
    return [
        median_of(f"scrape_{count}_ms", "ms", "<= 150", times),
        Figure(f"scrape_{count}_kib", size / 1024, "KiB", None, (size / 1024,)),
    ]


def scrape(worker: Worker) -> tuple[list[float], int]:
    """Milliseconds of some scrapes, and the bytes of the last."""
    times, size = [], 0
    worker.get("/metrics")
    for _ in range(_SCRAPES):
        started = time.monotonic()
        size = len(worker.get("/metrics"))
        times.append((time.monotonic() - started) * 1000)
    return times, size


def scrape_median(worker: Worker) -> float:
    """Milliseconds."""
    return statistics.median(scrape(worker)[0])
