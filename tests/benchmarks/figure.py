"""Figures of a benchmark: a name, a value, a goal, the samples it comes from."""

import json
import operator
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

_COMPARISONS = {">=": operator.ge, "<=": operator.le}

_BRIEF = {
    "records_per_second": "records/s", "cpu_seconds_per_million": "cpu_s/M",
    "first_record_seconds": "first_record_s",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a benchmark's result; ``goal`` is like ``>= 5``, or None."""

    name: str
    value: float
    unit: str
    goal: str | None
    samples: tuple[float, ...]

    @property
    def is_reached(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        sign, bound = self.goal.split()
        return bool(_COMPARISONS[sign](self.value, float(bound)))


def median_of(name: str, unit: str, goal: str | None, samples: Sequence[float]) -> Figure:
    """A figure whose value is the median of its samples."""
    return Figure(name, statistics.median(samples), unit, goal, tuple(samples))


def p99_of(name: str, unit: str, goal: str | None, samples: Sequence[float]) -> Figure:
    """A figure whose value is what 99 of 100 samples stay below; of few samples nearly the most."""
    value = statistics.quantiles(samples, n=100, method="inclusive")[98]
    return Figure(name, value, unit, goal, tuple(samples))


def most_of(name: str, unit: str, goal: str | None, samples: Sequence[float]) -> Figure:
    """A figure whose value is its greatest sample."""
    return Figure(name, max(samples), unit, goal, tuple(samples))


def write_json(figures: Sequence[Figure], path: Path) -> None:
    """All figures as a JSON list."""
    path.write_text(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n", "utf-8")


def print_table(figures: Sequence[Figure], console: Console) -> None:
    """All figures for people; their names say the unit."""
    table = Table(box=None, pad_edge=False)
    table.add_column("figure", no_wrap=True)
    for name in ("median", "least", "most"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("goal", ""):
        table.add_column(name, no_wrap=True)
    for figure in figures:
        mark = {True: "[green]ok", False: "[red]missed", None: ""}[figure.is_reached]
        values = (figure.value, min(figure.samples), max(figure.samples))
        table.add_row(_brief(figure.name), *map(_short, values), figure.goal or "", mark)
    console.print(table)


def _brief(name: str) -> str:
    """The name so short that the table fits 80 columns."""
    for long, short in _BRIEF.items():
        name = name.replace(long, short)
    return name


def _short(value: float) -> str:
    if abs(value) >= 10_000:
        return f"{value / 1000:,.0f}k"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
