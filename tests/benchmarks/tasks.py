"""``scripts/bench tasks``: what an idle task costs, and how fast a killed one is back.

``scripts/bench file`` includes this.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from engine.cli.kafka import cache_dir, show_progress
from engine.kafka.embedded.broker_process import run_broker
from engine.kafka.embedded.training import train
from tests.benchmarks.figure import Figure, median_of, p99_of, print_table, write_json
from tests.benchmarks.worker import RESTARTS, idle_memory, recovery_times, running, sinks, sources

IDLE_TASKS: Final = 50
KILLED_TASKS: Final = 100


def task_figures(brokers: str) -> list[Figure]:
    """Everything this benchmark measures, on a running broker."""
    figures = []
    for kind, make, goal in (
        ("source", sources(IDLE_TASKS), "<= 5"),
        ("sink", sinks(IDLE_TASKS, brokers), "<= 6"),
    ):
        with running(brokers, make, {}) as worker:
            figures.append(median_of(f"{kind}_task_pss_mib", "MiB", goal, idle_memory(worker)))
    with running(brokers, sources(KILLED_TASKS), RESTARTS) as worker:
        times = recovery_times(worker, 2 * KILLED_TASKS)
    figures.append(median_of("task_recovery_p50_ms", "ms", "<= 10", times))
    figures.append(p99_of("task_recovery_p99_ms", "ms", "<= 50", times))
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
