"""``scripts/bench tasks``: what an idle task costs, and how fast a killed one is back.

``scripts/bench file`` includes this. A task is back when its ``start()`` has returned, by the time
that it writes into its slot itself: nothing is asked of the engine meanwhile.
"""

import argparse
import contextlib
import json
import mmap
import os
import random
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Producer
from rich.console import Console

from engine.cli.kafka import cache_dir, show_progress
from engine.kafka.embedded.port import choose_port
from engine.kafka.embedded.process import run_broker
from engine.kafka.embedded.training import train
from engine.model.slot import SLOT_BYTES, Slot
from engine.model.task_id import TaskId
from tests.benchmarks.contender import write_properties
from tests.benchmarks.figure import Figure, median_of, print_table, write_json
from tests.benchmarks.observer import BenchmarkError, pss_bytes

IDLE_TASKS: Final = 50
KILLED_TASKS: Final = 100
_SETTLED: Final = 2.0
_BETWEEN_KILLS: Final = (0.05, 0.15)
_TIMEOUT: Final = 120.0
_STRING: Final = "org.apache.kafka.connect.storage.StringConverter"


class Worker:
    """A running ``engine standalone`` with many connectors of one task each."""

    def __init__(self, brokers: str, folder: Path, more: dict[str, str]) -> None:
        self._folder = folder
        self._url = f"http://127.0.0.1:{choose_port()}"
        self._config = {
            "bootstrap.servers": brokers, "key.converter": _STRING, "value.converter": _STRING,
            "offset.storage.file.filename": str(folder / "offsets"), "listeners": self._url, **more,
        }  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, connectors: Sequence[dict[str, str]]) -> None:
        """Start it and return at once."""
        files = [write_properties(self._folder / f"{c['name']}.properties", c) for c in connectors]
        worker = write_properties(self._folder / "worker.properties", self._config)
        engine = Path(sys.executable).with_name("engine")
        with (self._folder / "output.log").open("wb") as output:
            self._process = subprocess.Popen(
                [engine, "standalone", worker, *files], stdout=output, stderr=output
            )

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)

    def tasks(self) -> list[dict[str, Any]]:
        """What the engine says of its tasks; nothing until it answers."""
        try:
            with urllib.request.urlopen(f"{self._url}/engine/tasks", timeout=10) as answer:
                found: list[dict[str, Any]] = json.load(answer)
        except OSError:
            return []
        return found

    def wait_tasks(
        self, count: int, is_so: Callable[[dict[str, Any]], bool]
    ) -> list[dict[str, Any]]:
        """Wait until there are so many tasks and all are so; these tasks."""
        deadline = time.monotonic() + _TIMEOUT
        while len(tasks := self.tasks()) < count or not all(map(is_so, tasks)):
            if time.monotonic() > deadline:
                words = (self._folder / "output.log").read_text("utf-8", "replace")[-2000:]
                odd = next((task for task in tasks if not is_so(task)), None)
                raise BenchmarkError(f"{len(tasks)} of {count} tasks, {odd}\n{words}")
            select.select([], [], [], 0.2)
        return tasks

    def slots(self) -> dict[str, Slot]:
        """The tasks' shared memory by connector, mapped from the supervisor's descriptors."""
        assert self._process is not None
        prefix = "/memfd:slot "
        found = {}
        for fd in Path(f"/proc/{self._process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                target = str(fd.readlink())
                if target.startswith(prefix):
                    name = target.removeprefix(prefix).removesuffix(" (deleted)")
                    found[name] = _map(fd)
        return found


def _map(path: Path) -> Slot:
    with path.open("rb") as file:
        memory = mmap.mmap(file.fileno(), SLOT_BYTES, prot=mmap.PROT_READ)
    return Slot(memoryview(memory))


@contextmanager
def running(
    brokers: str, connectors: Callable[[Path], Sequence[dict[str, str]]], more: dict[str, str]
) -> Iterator[Worker]:
    """A worker with those connectors, all of whose tasks have moved their one record."""
    with tempfile.TemporaryDirectory(prefix="bench-tasks-") as name:
        configs = connectors(Path(name))
        worker = Worker(brokers, Path(name), more)
        try:
            worker.start(configs)
            worker.wait_tasks(len(configs), lambda task: task["counters"]["records_out"] >= 1)
            yield worker
        finally:
            worker.stop()


def sources(count: int) -> Callable[[Path], list[dict[str, str]]]:
    """So many file sources, each with a file of one line."""
    topic = f"idle-{uuid.uuid4().hex[:8]}"

    def make(folder: Path) -> list[dict[str, str]]:
        (folder / "line.txt").write_text("one line\n", "ascii")
        return [
            {
                "name": f"source{n}", "connector.class": "FileStreamSource", "topic": topic,
                "file": str(folder / "line.txt"),
            }
            for n in range(count)
        ]  # fmt: skip

    return make


def sinks(count: int, brokers: str) -> Callable[[Path], list[dict[str, str]]]:
    """So many file sinks on one topic with one record."""
    topic = f"idle-{uuid.uuid4().hex[:8]}"
    producer = Producer({"bootstrap.servers": brokers, "log_level": 0})
    producer.produce(topic, b"one line")
    producer.flush(30)
    return lambda folder: [
        {
            "name": f"sink{n}", "connector.class": "FileStreamSink", "topics": topic,
            "file": str(folder / f"output{n}.txt"),
        }
        for n in range(count)
    ]  # fmt: skip


def idle_memory(worker: Worker) -> list[float]:
    """MiB of each task, shares of common pages included, when nothing has moved for a while."""
    tasks = worker.wait_tasks(1, lambda task: (task["since_progress_seconds"] or 0) > _SETTLED)
    return [pss_bytes(task["pid"]) / 2**20 for task in tasks if task["pid"]]


def recovery_times(worker: Worker, rounds: int) -> list[float]:
    """Milliseconds from SIGKILL to the end of the successor's ``start()``, one task at a time.

    At random times: a fixed rhythm would meet the engine's own ticks always or never, and without a
    pause the successor before would still be connecting.
    """
    slots, chance = worker.slots(), random.Random(3)
    samples = []
    for _ in range(rounds):
        tasks = worker.wait_tasks(KILLED_TASKS, lambda task: task["condition"] == "RUNNING")
        tasks = [task for task in tasks if task["pid"]]  # a birth may not be announced yet
        chance.shuffle(tasks)
        for task in tasks:
            slot = slots[TaskId(**task["id"]).file_stem]
            select.select([], [], [], chance.uniform(*_BETWEEN_KILLS))
            samples.append(_recover(slot, task["pid"]))
    return samples


def _recover(slot: Slot, pid: int) -> float:
    generation, deadline = slot["generation"], time.monotonic() + _TIMEOUT
    killed = time.monotonic_ns()
    os.kill(pid, signal.SIGKILL)
    while slot["generation"] == generation or slot["started_ns"] == 0:
        if time.monotonic() > deadline:
            raise BenchmarkError(f"the task of pid {pid} did not come back")
        select.select([], [], [], 0.002)
    return (slot["started_ns"] - killed) / 1e6


def task_figures(brokers: str) -> list[Figure]:
    """Everything this benchmark measures, on a running broker."""
    figures = []
    for kind, make, goal in (
        ("source", sources(IDLE_TASKS), "<= 5"),
        ("sink", sinks(IDLE_TASKS, brokers), "<= 6"),
    ):
        with running(brokers, make, {}) as worker:
            figures.append(median_of(f"{kind}_task_pss_mib", "MiB", goal, idle_memory(worker)))
    policy = {"delay.ms": "0", "jitter": "0", "max": "1000000"}
    more = {f"engine.restart.{key}": value for key, value in policy.items()}
    with running(brokers, sources(KILLED_TASKS), more) as worker:
        times = recovery_times(worker, 2)
    figures.append(median_of("task_recovery_p50_ms", "ms", "<= 10", times))
    p99 = statistics.quantiles(times, n=100)[98]
    figures.append(Figure("task_recovery_p99_ms", p99, "ms", "<= 50", tuple(times)))
    return figures


def main(arguments: Sequence[str]) -> int:
    """Run it; 1 when a goal is missed."""
    parser = argparse.ArgumentParser(prog="scripts/bench tasks", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args(arguments)
    cache = cache_dir(os.environ)
    with show_progress() as on_progress:
        train(cache, on_progress)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        run_broker(Path(name) / "kafka", cache) as broker,
    ):
        figures = task_figures(broker.address)
    if options.json:
        write_json(figures, options.json)
    print_table(figures, Console())
    return int(any(figure.is_reached is False for figure in figures))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
