"""How far a run is, on standard error: a live screen on a terminal, plain lines elsewhere."""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from engine.cli.chaos.recovery import Ledger
from engine.cli.chaos.report import by_fault, duration

_SHOWN: Final = 8


@dataclass(slots=True)
class Scene:
    """Everything that there is to show.

    Attributes:
        stage: what is being done, in one sentence.
        events: what has happened, in order.
    """

    ledger: Ledger
    planned: int
    stage: str = ""
    elapsed: float = 0.0
    events: list[str] = field(default_factory=list)


class Screen(Protocol):
    """Shows scenes."""

    def show(self, scene: Scene) -> None:
        """Show how things are now."""


@contextlib.contextmanager
def screen(*, is_quiet: bool) -> Iterator[Screen]:
    """The one that fits standard error."""
    console = Console(stderr=True)
    if is_quiet or not console.is_terminal or console.is_dumb_terminal:
        yield PlainScreen(is_quiet=is_quiet)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield LiveScreen(live)


class LiveScreen:
    """A table that changes, and the last events."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, scene: Scene) -> None:
        """Draw it anew."""
        self._live.update(render(scene), refresh=True)


class PlainScreen:
    """A line for every event, and for every stage."""

    def __init__(self, *, is_quiet: bool) -> None:
        self._is_quiet = is_quiet
        self._stage = ""
        self._told = 0

    def show(self, scene: Scene) -> None:
        """Print what is new."""
        lines = scene.events[self._told :]
        self._told = len(scene.events)
        if scene.stage != self._stage:
            self._stage = scene.stage
            lines.append(scene.stage)
        for line in () if self._is_quiet else lines:
            print(f"{scene.elapsed:6.1f} s  {line}", file=sys.stderr, flush=True)


def render(scene: Scene) -> Group:
    """The live screen."""
    ledger = scene.ledger
    done = len(ledger.wounds)
    head = f"engine chaos  {scene.elapsed:.0f} s  {scene.stage}  ({done} of {scene.planned} faults)"
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("FAULT", no_wrap=True)
    for title in ("TIMES", "BACK", "P50", "MAX"):
        table.add_column(title, justify="right", no_wrap=True)
    for fault, found in by_fault(ledger).items():
        figures = (duration(found["p50_ms"]), duration(found["max_ms"]))
        is_open = found["injected"] > found["recovered"]
        counts = (str(found["injected"]), str(found["recovered"]))
        table.add_row(fault.value, *counts, *figures, style="yellow" if is_open else "")
    events = [Text(event, no_wrap=True, overflow="ellipsis") for event in scene.events[-_SHOWN:]]
    return Group(Text(head, "bold"), table, *events)
