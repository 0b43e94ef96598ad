"""``scripts/bench capacity``: what a task takes of a machine, at rest and at work.

Counts are taken from ``/proc``, memory is PSS, so that what tasks share is counted once. What each
further task costs is the difference between many tasks and one, by their number.
"""

import argparse
import os
import select
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import psutil
from rich.console import Console

from engine.cli.kafka import cache_dir, show_progress
from engine.kafka.embedded.broker_process import run_broker
from engine.kafka.embedded.training import train
from tests.benchmarks.figure import Figure, median_of, print_table, write_json
from tests.benchmarks.observer import pss_bytes
from tests.benchmarks.worker import Worker, running, sinks, sources

_MIB: Final = 1 << 20
_SETTLED: Final = 4.0
_WATCHED: Final = 8.0
_LINE: Final = b"x" * 99 + b"\n"
_WORKING: Final = 8
_LINES: Final = 300_000
_SAMPLES_EVERY: Final = 0.25


class Taken(NamedTuple):
    """What an engine with some tasks takes; memory in bytes.

    Attributes:
        tasks: PSS, threads, descriptors and connections of each.
        cpu: share of a core that all processes together use.
    """

    supervisor_files: int
    supervisor_pss: int
    beside_pss: int
    tasks: list[tuple[int, int, int, int]]
    cpu: float


def taken(worker: Worker) -> Taken:
    """Measured when nothing has moved for a while."""
    tasks = worker.wait_tasks(1, lambda task: (task["since_progress_seconds"] or 0) > _SETTLED)
    pids = {task["pid"] for task in tasks}
    supervisor = psutil.Process(worker.pid)
    beside = [child for child in supervisor.children() if child.pid not in pids]
    before = _cpu_seconds([supervisor, *supervisor.children()])
    select.select([], [], [], _WATCHED)
    after = _cpu_seconds([supervisor, *supervisor.children()])
    return Taken(
        supervisor.num_fds(),
        pss_bytes(supervisor.pid),
        sum(pss_bytes(child.pid) for child in beside),
        [_task(pid) for pid in pids],
        sum(after[pid] - before.get(pid, 0.0) for pid in after) / _WATCHED,
    )


def _task(pid: int) -> tuple[int, int, int, int]:
    process = psutil.Process(pid)
    connections = [c for c in process.net_connections("tcp") if c.status == "ESTABLISHED"]
    return pss_bytes(pid), process.num_threads(), process.num_fds(), len(connections)


def _cpu_seconds(processes: Sequence[psutil.Process]) -> dict[int, float]:
    return {p.pid: sum(p.cpu_times()[:2]) for p in processes if p.is_running()}


def idle_figures(
    kind: str,
    brokers: str,
    make: Callable[[int], Callable[[Path], list[dict[str, str]]]],
    count: int,
) -> list[Figure]:
    """What tasks take that have nothing to do but to be connected."""
    with running(brokers, make(1), {}) as worker:
        one = taken(worker)
    with running(brokers, make(count), {}) as worker:
        many = taken(worker)
    return _idle(kind, one, many, count)


def _idle(kind: str, one: Taken, many: Taken, count: int) -> list[Figure]:
    def single(name: str, unit: str, value: float) -> Figure:
        return Figure(f"{kind}_{name}", value, unit, None, (value,))

    further = count - 1
    each_files = (many.supervisor_files - one.supervisor_files) / further
    each_bytes = max(0.0, (many.supervisor_pss - one.supervisor_pss) / further)
    pss = sorted(task[0] for task in many.tasks)[count // 2]
    fixed = one.supervisor_pss + many.beside_pss
    return [
        median_of(f"{kind}_idle_pss_mib", "MiB", None, [task[0] / _MIB for task in many.tasks]),
        single("tasks_per_gib_idle", "tasks", ((1 << 30) - fixed) // (pss + each_bytes)),
        median_of(f"{kind}_threads", "threads", None, [task[1] for task in many.tasks]),
        median_of(f"{kind}_files", "descriptors", None, [task[2] for task in many.tasks]),
        median_of(f"{kind}_connections", "connections", None, [task[3] for task in many.tasks]),
        single("supervisor_files_each", "descriptors", each_files),
        single("supervisor_kib_each", "KiB", each_bytes / 1024),
        single("beside_tasks_mib", "MiB", fixed / _MIB),
        single("idle_cpu_percent_100", "% of a core", many.cpu * 100 / count * 100),
    ]


def load_figures(brokers: str) -> list[Figure]:
    """The most memory that each task took while all of them worked as fast as they could."""
    topics = [f"load-{uuid.uuid4().hex[:8]}" for _ in range(_WORKING)]
    figures = []
    for kind, make, counter in (
        ("source", _working_sources, "records_out"),
        ("sink", _working_sinks, "records_out"),
    ):
        with running(brokers, make(topics), {}) as worker:
            peaks = _peaks(worker, counter)
        figures.append(median_of(f"{kind}_load_pss_mib", "MiB", None, peaks))
        least = 1024 / max(peaks)
        figures.append(
            Figure(f"{kind}_tasks_per_gib_load", least // 1, "tasks", None, (least // 1,))
        )
    return figures


def _working_sources(topics: Sequence[str]) -> Callable[[Path], list[dict[str, str]]]:
    def make(folder: Path) -> list[dict[str, str]]:
        (folder / "lines.txt").write_bytes(_LINE * _LINES)
        return [
            {"name": f"source-{topic}", "connector.class": "FileStreamSource", "topic": topic,
             "file": str(folder / "lines.txt")}
            for topic in topics
        ]  # fmt: skip

    return make


def _working_sinks(topics: Sequence[str]) -> Callable[[Path], list[dict[str, str]]]:
    return lambda folder: [
        {"name": f"sink-{topic}", "connector.class": "FileStreamSink", "topics": topic,
         "file": str(folder / topic)}
        for topic in topics
    ]  # fmt: skip


def _peaks(worker: Worker, counter: str) -> list[float]:
    """MiB of each task at its largest, until all have moved everything."""
    peaks: dict[int, float] = {}
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        tasks = worker.tasks()
        for task in tasks:
            if task["pid"]:
                peaks[task["pid"]] = max(peaks.get(task["pid"], 0.0), pss_bytes(task["pid"]) / _MIB)
        if tasks and all(task["counters"][counter] >= _LINES for task in tasks):
            break
        select.select([], [], [], _SAMPLES_EVERY)
    return list(peaks.values())


def main(arguments: Sequence[str]) -> int:
    """Run it; there are no goals to miss."""
    parser = argparse.ArgumentParser(prog="scripts/bench capacity", description=__doc__)
    parser.add_argument("--tasks", type=int, default=60, metavar="N", help="idle tasks (60)")
    parser.add_argument(
        "--only", default="sources,sinks,load", metavar="NAMES", help="some of sources,sinks,load"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args(arguments)
    cache = cache_dir(os.environ)
    with show_progress() as on_progress:
        train(cache, on_progress)
    figures: list[Figure] = []
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        run_broker(Path(name) / "kafka", cache) as broker,
    ):
        address = broker.address
        if "sources" in options.only:
            figures += idle_figures("source", address, sources, options.tasks)
        if "sinks" in options.only:
            figures += idle_figures("sink", address, lambda n: sinks(n, address), options.tasks)
        if "load" in options.only:
            figures += load_figures(address)
    if options.json:
        write_json(figures, options.json)
    print_table(figures, Console())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
