"""A worker with many idle tasks, and what is read of them from outside.

A task is back when its ``start()`` has returned, by the time that it writes into its slot itself:
nothing is asked of the engine meanwhile.
"""

import contextlib
import json
import mmap
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil
from confluent_kafka import Producer

from engine.kafka.embedded.port import choose_port
from engine.model.slot import SLOT_BYTES, Slot
from engine.model.task_id import TaskId
from tests.benchmarks.contender import write_properties
from tests.benchmarks.observer import BenchmarkError, pss_bytes, tree_of

RESTARTS: Final[Mapping[str, str]] = {
    "engine.restart.delay.ms": "0", "engine.restart.jitter": "0", "engine.restart.policy": "always",
    "engine.restart.budget.per.second": "0", "engine.restart.host.budget.per.second": "0",
}  # fmt: skip
"""Whatever dies is back at once, as often as it may die."""

_SETTLED: Final = 2.0
_BETWEEN_KILLS: Final = (0.05, 0.15)
_TIMEOUT: Final = 120.0
_STRING: Final = "org.apache.kafka.connect.storage.StringConverter"
_PLUGINS: Final = Path(__file__).with_name("plugins")


class Worker:
    """A running ``engine standalone`` with many tasks.

    Attributes:
        folder: everything that it writes is below.
        started_ns: when it was started, by CLOCK_MONOTONIC.
    """

    def __init__(self, brokers: str, folder: Path, more: Mapping[str, str]) -> None:
        self.folder = folder
        self.started_ns = 0
        self._url = f"http://127.0.0.1:{choose_port()}"
        self._config = {
            "bootstrap.servers": brokers, "key.converter": _STRING, "value.converter": _STRING,
            "offset.storage.file.filename": str(folder / "offsets"), "listeners": self._url, **more,
        }  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self._tree: list[psutil.Process] = []

    def start(self, connectors: Sequence[dict[str, str]]) -> None:
        """Start it and return at once."""
        files = [write_properties(self.folder / f"{c['name']}.properties", c) for c in connectors]
        worker = write_properties(self.folder / "worker.properties", self._config)
        engine = Path(sys.executable).with_name("engine")
        self.started_ns = time.monotonic_ns()
        with (self.folder / "output.log").open("wb") as output:
            self._process = subprocess.Popen(
                [engine, "standalone", worker, *files], stdout=output, stderr=output,
                env={**os.environ, "PYTHONPATH": str(_PLUGINS)},
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """The supervisor's."""
        assert self._process is not None
        return self._process.pid

    def terminate(self) -> None:
        """Tell it to end, and wait until it has."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(60)

    def stop(self) -> None:
        """End it with all that it started."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._tree = tree_of(self.pid)
        try:
            self.terminate()
        finally:
            end_all(self._tree)

    def kill(self) -> None:
        """SIGKILL to the supervisor alone."""
        self._tree = tree_of(self.pid)
        os.kill(self.pid, signal.SIGKILL)

    def tasks(self) -> list[dict[str, Any]]:
        """What the engine says of its tasks; nothing until it answers."""
        try:
            found: list[dict[str, Any]] = json.loads(self.get("/engine/tasks"))
        except OSError:
            return []
        return found

    def get(self, path: str) -> bytes:
        """What the REST API answers to a GET."""
        with urllib.request.urlopen(self._url + path, timeout=30) as answer:
            body: bytes = answer.read()
        return body

    def wait_tasks(
        self, count: int, is_so: Callable[[dict[str, Any]], bool]
    ) -> list[dict[str, Any]]:
        """Wait until there are so many tasks and all are so; these tasks."""
        deadline = time.monotonic() + _TIMEOUT
        while len(tasks := self.tasks()) < count or not all(map(is_so, tasks)):
            if time.monotonic() > deadline:
                words = (self.folder / "output.log").read_text("utf-8", "replace")[-2000:]
                odd = next((task for task in tasks if not is_so(task)), None)
                raise BenchmarkError(f"{len(tasks)} of {count} tasks, {odd}\n{words}")
            pause(0.2)
        return tasks

    def slots(self) -> dict[str, Slot]:
        """The tasks' shared memory by connector, mapped from the supervisor's descriptors."""
        prefix = "/memfd:slot "
        found = {}
        for fd in Path(f"/proc/{self.pid}/fd").iterdir():
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
    brokers: str, connectors: Callable[[Path], Sequence[dict[str, str]]], more: Mapping[str, str]
) -> Iterator[Worker]:
    """A worker with those connectors, each of whose one task has moved its one record."""
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


def recovery_times(worker: Worker, kills: int) -> list[float]:
    """Milliseconds from SIGKILL to the end of the successor's ``start()``, one task at a time.

    At random times: a fixed rhythm would meet the engine's own ticks always or never, and without a
    pause the successor before would still be connecting.
    """
    slots, chance = worker.slots(), random.Random(3)
    samples: list[float] = []
    while len(samples) < kills:
        tasks = worker.wait_tasks(len(slots), lambda task: task["condition"] == "RUNNING")
        tasks = [task for task in tasks if task["pid"]]  # a birth may not be announced yet
        chance.shuffle(tasks)
        for task in tasks[: kills - len(samples)]:
            slot = slots[TaskId(**task["id"]).file_stem]
            pause(chance.uniform(*_BETWEEN_KILLS))
            samples.append(_recover(slot, task["pid"]))
    return samples


def _recover(slot: Slot, pid: int) -> float:
    killed, deadline = time.monotonic_ns(), time.monotonic() + _TIMEOUT
    os.kill(pid, signal.SIGKILL)
    while slot["started_ns"] < killed:
        if time.monotonic() > deadline:
            raise BenchmarkError(f"the task of pid {pid} did not come back")
        pause(0.002)
    return (slot["started_ns"] - killed) / 1e6


def pause(seconds: float) -> None:
    """Let time pass."""
    select.select([], [], [], seconds)


def end_all(processes: Sequence[psutil.Process]) -> int:
    """Wait for the end of processes that were told to end, kill those left; how many these were."""
    left = _left_after(processes, 2.0)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    _left_after(left, 10.0)
    return len(left)


def _left_after(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    deadline = time.monotonic() + seconds
    while (left := [p for p in processes if is_alive(p)]) and time.monotonic() < deadline:
        pause(0.02)
    return left


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs; one that only waits to be reaped does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
