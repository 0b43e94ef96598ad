"""What the demo shows: one live screen on a terminal, plain lines of progress elsewhere."""

import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from engine.cli.ctl.output import BAD, GOOD, NOTHING, count, mebibytes, per_second, seconds, share
from engine.cli.demo.work import SOURCE

_EVENTS: Final = 5
_LINE_EVERY: Final = 2.0
_WIDE: Final = 100
_FEWEST: Final = 3
_LINES_ALWAYS: Final = 9
"""Of the screen: head, processes, titles of the table, arrived, what to type, the end, and gaps."""


@dataclass(slots=True)
class Scene:
    """Everything that there is to show.

    Attributes:
        stage: what the demo is doing, in one sentence.
        addresses: name and value, of files and of URLs.
        commands: what to type in another terminal, and what it does.
        sent: lines of the input; None while they are not counted.
        arrived: lines of it that the output has, in order.
        extra: lines that came once more.
    """

    stage: str = ""
    elapsed: float = 0.0
    tasks: Sequence[Mapping[str, Any]] = ()
    pids: Mapping[str, int] = field(default_factory=dict)
    problem: str | None = None
    addresses: Sequence[tuple[str, str]] = ()
    commands: Sequence[tuple[str, str]] = ()
    events: "deque[str]" = field(default_factory=lambda: deque(maxlen=_EVENTS))
    sent: int | None = None
    arrived: int = 0
    extra: int = 0


class Screen(Protocol):
    """Shows scenes; used as a context manager."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        """Give the terminal back."""

    def show(self, scene: Scene) -> None:
        """Show how things are now."""


def make_screen() -> Screen:
    """The one that fits standard output."""
    console = Console()
    can_draw = console.is_terminal and not console.is_dumb_terminal
    return LiveScreen(console) if can_draw else PlainScreen()


class LiveScreen:
    """One screen that changes; drawn by the caller's own thread."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, screen=True, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, scene: Scene) -> None:
        """Draw it anew."""
        size = self._live.console.size
        self._live.update(render(scene, size.width, size.height), refresh=True)


class PlainScreen:
    """A line now and then, and one for every change of a task."""

    def __init__(self) -> None:
        self._stage = ""
        self._next = 0.0
        self._told: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, scene: Scene) -> None:
        """Print what is new."""
        if scene.stage != self._stage:
            self._stage = scene.stage
            self._print(scene, scene.stage)
        events = list(scene.events)
        for event in events:
            if event not in self._told:
                self._print(scene, event)
        self._told = events
        if scene.tasks and scene.elapsed >= self._next:
            self._next = scene.elapsed + _LINE_EVERY
            self._print(scene, progress_line(scene))

    def _print(self, scene: Scene, text: str) -> None:
        sys.stdout.write(f"{scene.elapsed:6.1f} s  {text}\n")
        sys.stdout.flush()


def progress_line(scene: Scene) -> str:
    """Both tasks and the output on one line."""
    parts = [_task_words(task) for task in scene.tasks]
    parts.append(f"arrived {arrived_words(scene)}")
    return "; ".join(parts)


def _task_words(task: Mapping[str, Any]) -> str:
    rate = (task["rates"] or {}).get("records_out_per_second")
    return (
        f"{task['id']['connector']} {task['condition']} {per_second(rate)}/s, "
        f"total {count(task['counters']['records_out'])}, lag {_lag(task)}"
    )


def arrived_words(scene: Scene) -> str:
    """How much of the input is in the output."""
    of_all = f" of {count(scene.sent)}" if scene.sent is not None else ""
    twice = f", {count(scene.extra)} came twice" if scene.extra else ""
    return f"{count(scene.arrived)}{of_all} lines in order{twice}"


def _lag(task: Mapping[str, Any]) -> str:
    """Records for the sink, bytes of the file for the source."""
    if task["lag"] is None:
        return NOTHING
    return count(task["lag"]) + (" B" if task["id"]["connector"] == SOURCE else "")


def render(scene: Scene, width: int = 100, height: int = 40) -> RenderableType:
    """The whole screen; what matters less is left out where room is short."""
    room = height - _LINES_ALWAYS - len(scene.tasks) - len(scene.commands) - bool(scene.problem)
    addresses = scene.addresses[: max(_FEWEST, room - _FEWEST)]
    room -= len(addresses)
    events = list(scene.events)[-room:] if room > 0 else []
    gap = [Text()] if room > len(events) + 1 else []
    head = Text.assemble(
        ("engine demo", "bold"), f"  {seconds(scene.elapsed)}  ", (scene.stage, "italic")
    )
    parts: list[RenderableType] = [head, Text(_process_words(scene)), Text()]
    parts.append(_task_table(scene, is_narrow=width < _WIDE))
    if scene.problem:
        parts.append(Text(scene.problem, "red", no_wrap=True, overflow="ellipsis"))
    parts += [Text(), Text.assemble(("arrived  ", "bold"), arrived_words(scene)), Text()]
    parts.append(_pairs(addresses))
    parts += [*gap, *(Text(e, "yellow", no_wrap=True, overflow="ellipsis") for e in events), *gap]
    if scene.commands:
        parts += [Text("Type in another terminal:", "bold"), _pairs(scene.commands, "cyan")]
    parts.append(Text("Ctrl-C stops everything.", "bold"))
    return Group(*parts)


def _process_words(scene: Scene) -> str:
    return "   ".join(f"{name} pid {pid}" for name, pid in scene.pids.items())


def _task_table(scene: Scene, *, is_narrow: bool) -> Table:
    padding = (0, 1 if is_narrow else 2, 0, 0)
    table = Table(box=None, padding=padding, pad_edge=False, header_style="bold")
    table.add_column("TASK", no_wrap=True)
    table.add_column("PID", justify="right", no_wrap=True)
    table.add_column("STATE", no_wrap=True)
    rate = "REC/S" if is_narrow else "RECORDS/S"
    for title in (rate, "TOTAL", "LAG", "RESTARTS", "CPU", "MEMORY"):
        table.add_column(title, justify="right", no_wrap=True)
    for task in scene.tasks:
        table.add_row(*_task_cells(task), style=_style(task["condition"]))
    return table


def _style(condition: str) -> str:
    if condition in GOOD:
        return ""
    return "red" if condition in BAD else "yellow"


def _task_cells(task: Mapping[str, Any]) -> list[str]:
    rates = task["rates"] or {}
    state = task["condition"]
    if task["retry_in_seconds"] is not None:
        state += f" {seconds(task['retry_in_seconds'])}"
    return [
        f"{task['id']['connector']}-{task['id']['task']}",
        NOTHING if task["pid"] is None else str(task["pid"]),
        state,
        per_second(rates.get("records_out_per_second")),
        count(task["counters"]["records_out"]),
        _lag(task),
        count(task["restarts_total"]),
        share(rates.get("cpu")),
        mebibytes(task["pss_bytes"]),
    ]


def _pairs(pairs: Sequence[tuple[str, str]], style: str = "") -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=not style, style=style or "bold")
    table.add_column(overflow="fold")
    for left, right in pairs:
        table.add_row(Text(left), Text(right))
    return table
