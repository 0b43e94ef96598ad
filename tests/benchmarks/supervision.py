"""``scripts/bench supervision``: what watching hundreds of tasks costs, and what faults cost.

Everything runs on this machine's loopback, with a broker of its own; only processes that the
benchmark has started are stopped or killed. Fewer tasks make a quick run; goals are for 500.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.status import Status

from engine.cli.kafka import cache_dir, show_progress
from engine.kafka.embedded.broker_process import run_broker
from engine.kafka.embedded.training import train
from tests.benchmarks import faults, rivals
from tests.benchmarks.crowd import idle_figures, scrape_figures, start_figures
from tests.benchmarks.figure import Figure, median_of, p99_of, print_table, write_json
from tests.benchmarks.observer import BenchmarkError
from tests.benchmarks.worker import (
    RESTARTS,
    Worker,
    idle_memory,
    recovery_times,
    running,
    sinks,
    sources,
)  # fmt: skip

TASKS: Final = 500
RESTARTED: Final = 10_000
KILLS: Final = 200
_ORPHANS: Final = 200
_STOPPED: Final = 300
_RIVAL_KILLS: Final = 20
_RIVAL_PROCESSES: Final = 100


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured, and where."""

    brokers: str
    folder: Path
    tasks: int
    kills: int
    restarts: int


def recovery_figures(worker: Worker, size: Size) -> list[Figure]:
    """Ours, then theirs, with the same clock on the same machine."""
    times = recovery_times(worker, size.kills)
    ours = median_of("recovery_p50_ms", "ms", "<= 10", times)
    return [ours, p99_of("recovery_p99_ms", "ms", "<= 50", times)]


def rival_figures(size: Size, ours: Figure) -> list[Figure]:
    """Theirs with no more processes than ours has, which is easier for them."""
    programs = rivals.install(size.folder / "rivals")
    count, figures = min(size.tasks, _RIVAL_PROCESSES), []
    for name in rivals.NAMES:
        kills = min(size.kills, _RIVAL_KILLS)
        times = rivals.recovery_times(name, programs, size.folder / name, count, kills)
        theirs = median_of(f"{name}_recovery_p50_ms", "ms", None, times)
        ratio = ours.value / theirs.value
        figures.append(Figure(f"recovery_vs_{name}", ratio, "ratio", "<= 0.01", (ratio,)))
        figures.append(theirs)
    return figures


def sink_figures(size: Size) -> list[Figure]:
    """Idle sinks, each a member of a group of its own."""
    with running(size.brokers, sinks(size.tasks, size.brokers), {}) as worker:
        return [median_of("sink_task_pss_mib", "MiB", "<= 5.5", idle_memory(worker))]


IN_THE_CROWD: Final[dict[str, Callable[[Worker, Size], list[Figure]]]] = {
    "start": lambda worker, size: start_figures(worker, size.tasks),
    "idle": lambda worker, size: idle_figures(worker, size.tasks),
    "scrape": lambda worker, size: scrape_figures(worker, size.tasks),
    "recovery": recovery_figures,
}
"""What is measured on one worker with file sources, in this order."""

ALONE: Final[dict[str, Callable[[Size], list[Figure]]]] = {
    "sink": sink_figures,
    "hang": lambda size: faults.hang_figures(size.brokers, size.tasks),
    "orphan": lambda size: faults.orphan_figures(size.brokers, min(size.tasks, _ORPHANS)),
    "stop": lambda size: faults.stop_figures(size.brokers, min(size.tasks, _STOPPED)),
    "restarts": lambda size: faults.restart_figures(size.brokers, size.restarts),
    "flood": lambda size: faults.flood_figures(size.brokers),
}
"""What has a worker of its own."""

NAMES: Final = (*IN_THE_CROWD, "rivals", *ALONE)


def measure(
    size: Size, wanted: Sequence[str], status: Status
) -> tuple[list[Figure], Sequence[str]]:
    """All figures wanted, and what could not be measured: the rest does not wait for it.

    ``rivals`` are compared, so they bring ``recovery`` with them.
    """
    figures: list[Figure] = []
    failed: list[str] = []

    @contextmanager
    def step(name: str) -> Iterator[None]:
        try:
            status.update(name)
            yield
        except (BenchmarkError, OSError, subprocess.SubprocessError) as error:
            failed.append(name)
            status.console.print(f"{name}: {error}", style="red", markup=False, highlight=False)

    crowd = [n for n in IN_THE_CROWD if n in wanted or (n == "recovery" and "rivals" in wanted)]
    if crowd:
        with step("start"), running(size.brokers, sources(size.tasks), RESTARTS) as worker:
            for name in crowd:
                with step(name):
                    figures += IN_THE_CROWD[name](worker, size)
    ours = next((figure for figure in figures if figure.name == "recovery_p50_ms"), None)
    if ours and "rivals" in wanted:
        with step("rivals"):
            figures += rival_figures(size, ours)
    for name in (n for n in ALONE if n in wanted):
        with step(name):
            figures += ALONE[name](size)
    return figures, failed


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="scripts/bench supervision", description=__doc__)
    for name, default in (("tasks", TASKS), ("kills", KILLS), ("restarts", RESTARTED)):
        parser.add_argument(f"--{name}", type=_count, default=default, help="default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument(
        "--only", type=_names, default=NAMES, metavar="NAMES",
        help=f"figures, by commas (default: {','.join(NAMES)})",
    )  # fmt: skip
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    number = int(text)
    if number < 2:
        raise argparse.ArgumentTypeError(f"{text}: expected 2 or more")
    return number


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := [name for name in names if name not in NAMES]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(NAMES)}")
    return names


def main(arguments: Sequence[str]) -> int:
    """Run it; 1 when a goal is missed or a figure could not be measured."""
    options = parse_arguments(arguments)
    signal.signal(
        signal.SIGTERM, lambda number, _frame: sys.exit(128 + number)
    )  # ends what it runs
    cache, console = cache_dir(os.environ), Console(stderr=True)
    with show_progress() as on_progress:
        train(cache, on_progress)
    with tempfile.TemporaryDirectory(prefix="bench-") as name, console.status("broker") as status:
        folder = Path(name)
        with run_broker(folder / "kafka", cache) as broker:
            size = Size(broker.address, folder, options.tasks, options.kills, options.restarts)
            figures, failed = measure(size, options.only, status)
    if options.json:
        write_json(figures, options.json)
    print_table(figures, Console())
    return int(bool(failed) or any(figure.is_reached is False for figure in figures))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
