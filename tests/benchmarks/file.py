"""``scripts/bench file``: a file into Kafka and out again, by several contenders, round by round.

Everybody runs alone, on the same broker, in an order that changes with the rounds; what counts are
the ratios within a round. Rates and CPU are taken between the first and the last record.
"""

import argparse
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from engine.cli.kafka import cache_dir, show_progress
from engine.kafka.embedded.broker_process import run_broker
from engine.kafka.embedded.training import train
from tests.benchmarks.contender import (
    BATCH,
    JAVA_TUNED,
    Contender,
    Java,
    Job,
    Ours,
    Raw,
    last_words,
    stop,
)  # fmt: skip
from tests.benchmarks.figure import Figure, median_of, print_table, write_json
from tests.benchmarks.observer import (
    BenchmarkError,
    FileEnd,
    Measured,
    TopicEnd,
    observe,
    peak_memory,
    pss_mib,
    rss_mib,
    warm,
)  # fmt: skip
from tests.benchmarks.tasks import task_figures

LINE_BYTES: Final = 107
KINDS: Final = ("source", "sink")
_RATE_GOALS: Final = {
    ("source", "java"): ">= 5", ("sink", "java"): ">= 3",
    ("source", "raw"): ">= 0.85", ("sink", "raw"): ">= 0.85",
}  # fmt: skip
_CPU_GOALS: Final = {"java": "<= 0.2", "raw": "<= 1.2"}
_BUSY: Final = 0.5  # of one CPU; others then take from whoever runs
_WITH_MEMORY: Final = ("java", "ours")

Rounds = dict[tuple[str, str], list[Measured]]
"""(contender, kind) → what it did in each round."""


def make_lines(path: Path, lines: int) -> None:
    """Lines of one length, like those of a log, each with its number."""
    text = "INFO  [main] request handled in 12 ms, status=200, path=/api/v1/items/"
    with path.open("w", encoding="ascii") as file:
        for start in range(0, lines, 10_000):
            numbers = range(start, min(lines, start + 10_000))
            file.writelines(f"{n:012d} {text}{n * 7919 % 10**23:023d}\n" for n in numbers)


class Arena:
    """One broker, one file, and the jobs done with them."""

    def __init__(self, brokers: str, folder: Path, lines: int) -> None:
        self._brokers = brokers
        self._folder = folder
        self._lines = lines
        self._admin = AdminClient({"bootstrap.servers": brokers, "log_level": 0})
        self._input = folder / "input.txt"
        make_lines(self._input, lines)
        self._filled = self._create_topic("filled")

    def warm_up(self) -> None:
        """Bring the lines into the topic that sinks read, and the broker's compiler to work."""
        self._measure(Raw(), "source", self._filled)
        for kind in KINDS:
            self.run(Raw(), kind)

    def run(self, contender: Contender, kind: str) -> Measured:
        """One contender, one way."""
        if kind == "sink":
            return self._measure(contender, kind, self._filled)
        with self._topic() as topic:
            return self._measure(contender, kind, topic)

    def memory(self, contender: Contender) -> float:
        """Most MiB used while lines go in and out through one worker."""
        with self._topic() as topic, self._job(KINDS, topic) as job:
            process = contender.start(job)
            measure = rss_mib if contender.name == "java" else pss_mib
            try:
                end = FileEnd(job.sink_file, LINE_BYTES)
                return peak_memory(process, measure, end.count, self._lines)
            finally:
                stop(process)

    def _measure(self, contender: Contender, kind: str, topic: str) -> Measured:
        warm(self._input)
        with self._job((kind,), topic) as job, self._count(job) as count:
            started = time.monotonic()
            process = contender.start(job)
            try:
                return observe(process, started, count, self._lines)
            except BenchmarkError as error:
                raise BenchmarkError(f"{error}\n{last_words(job)}") from error
            finally:
                stop(process)

    @contextmanager
    def _count(self, job: Job) -> Iterator[Callable[[], int]]:
        if job.kinds == ("sink",):
            yield FileEnd(job.sink_file, LINE_BYTES).count
            return
        end = TopicEnd(self._brokers, job.topic)
        end.count()
        yield end.count
        end.close()

    @contextmanager
    def _job(self, kinds: tuple[str, ...], topic: str) -> Iterator[Job]:
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            scratch = Path(name)
            yield Job(kinds, self._brokers, topic, self._input, scratch / "output.txt", scratch)

    @contextmanager
    def _topic(self) -> Iterator[str]:
        topic = self._create_topic("lines")
        yield topic
        self._admin.delete_topics([topic])[topic].result(30)

    def _create_topic(self, name: str) -> str:
        topic = f"{name}-{uuid.uuid4().hex[:8]}"
        self._admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
        return topic


def figures_of(rounds: Rounds, memory: dict[str, list[float]]) -> list[Figure]:
    """The table of the benchmark: ratios first, then what they come from."""
    names = sorted({name for name, _ in rounds})
    figures: list[Figure] = []
    if "ours" in names:
        for other in (name for name in names if name != "ours"):
            figures += _ratios(rounds, other)
        if {"ours", "java"} <= memory.keys():
            ratios = [a / b for a, b in zip(memory["ours"], memory["java"], strict=True)]
            figures.append(median_of("file_memory_vs_java", "ratio", "<= 0.1", ratios))
    for (name, kind), runs in sorted(rounds.items()):
        for field, unit in (
            ("records_per_second", "records/s"),
            ("cpu_seconds_per_million", "s"),
            ("first_record_seconds", "s"),
        ):
            samples = [getattr(run, field) for run in runs]
            figures.append(median_of(f"file_{kind}_{name}_{field}", unit, None, samples))
    for name, samples in memory.items():
        figures.append(median_of(f"file_{name}_memory_mib", "MiB", None, samples))
    return figures


def _ratios(rounds: Rounds, other: str) -> list[Figure]:
    figures = []
    for kind in KINDS:
        pairs = _pairs(rounds, other, kind)
        samples = [ours.records_per_second / theirs.records_per_second for ours, theirs in pairs]
        goal = _RATE_GOALS.get((kind, other))
        figures.append(median_of(f"file_{kind}_vs_{other}", "ratio", goal, samples))
    both = list(zip(*(_pairs(rounds, other, kind) for kind in KINDS), strict=True))
    cpu = [max(a.cpu_seconds_per_million / b.cpu_seconds_per_million for a, b in r) for r in both]
    figures.append(median_of(f"file_cpu_vs_{other}", "ratio", _CPU_GOALS.get(other), cpu))
    first = [max(a.first_record_seconds / b.first_record_seconds for a, b in r) for r in both]
    if other == "java":
        figures.append(median_of("file_first_record_vs_java", "ratio", "<= 0.2", first))
    return figures


def _pairs(rounds: Rounds, other: str, kind: str) -> list[tuple[Measured, Measured]]:
    return list(zip(rounds["ours", kind], rounds[other, kind], strict=True))


def compete(
    arena: Arena, contenders: Sequence[Contender], count: int, console: Console
) -> tuple[Rounds, dict[str, list[float]]]:
    """All rounds; progress goes to the console."""
    rounds: Rounds = {(c.name, kind): [] for c in contenders for kind in KINDS}
    memory: dict[str, list[float]] = {c.name: [] for c in contenders if c.name in _WITH_MEMORY}
    columns = (TextColumn("{task.description:32}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        steps = len(rounds) + len(memory)
        bar = progress.add_task("", total=count * steps + 1)
        progress.update(bar, description="warming up the broker")
        arena.warm_up()
        for turn in range(count):
            order = [contenders[(turn + i) % len(contenders)] for i in range(len(contenders))]
            for kind in KINDS:
                for contender in order:
                    progress.update(
                        bar, advance=1, description=f"round {turn + 1}: {contender.name} {kind}"
                    )
                    rounds[contender.name, kind].append(arena.run(contender, kind))
            for contender in order:
                if contender.name in memory:
                    progress.update(
                        bar, advance=1, description=f"round {turn + 1}: {contender.name} memory"
                    )
                    memory[contender.name].append(arena.memory(contender))
    return rounds, memory


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="scripts/bench file", description=__doc__)
    parser.add_argument("--lines", type=int, default=2_000_000, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument(
        "--only",
        default="raw,java,java_tuned,ours",
        metavar="NAMES",
        help="contenders, by commas (default: %(default)s)",
    )
    parsed = parser.parse_args(arguments)
    parsed.lines = max(BATCH, parsed.lines // BATCH * BATCH)
    return parsed


def main(arguments: Sequence[str]) -> int:
    """Run it; 1 when a goal is missed."""
    options = parse_arguments(arguments)
    cache = cache_dir(os.environ)
    console = Console(stderr=True)
    wanted = options.only.split(",")
    if (load := os.getloadavg()[0]) > _BUSY:
        console.print(f"the machine is busy (load {load:.1f}): figures will vary", style="yellow")
    with show_progress() as on_progress:
        java: list[Contender] = [
            Java(name, cache, more)
            for name, more in (("java", {}), ("java_tuned", JAVA_TUNED))
            if name in wanted
        ]
        train(cache, on_progress)
    contenders: list[Contender] = [c for c in (Raw(), *java, Ours()) if c.name in wanted]
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with run_broker(folder / "kafka", cache) as broker:
            arena = Arena(broker.address, folder, options.lines)
            figures = figures_of(*compete(arena, contenders, options.rounds, console))
            if "ours" in wanted:
                figures += task_figures(broker.address)
    if options.json:
        write_json(figures, options.json)
    print_table(figures, Console())
    return int(any(figure.is_reached is False for figure in figures))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
