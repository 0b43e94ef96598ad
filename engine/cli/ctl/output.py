"""Tables that fit the terminal, and figures as people read them."""

import os
import shutil
import sys
import unicodedata
from collections.abc import Sequence
from typing import Final, NamedTuple

_COLORS: Final = {"bad": "\x1b[31m", "good": "\x1b[32m", "odd": "\x1b[33m"}
_PLAIN: Final = "\x1b[0m"
_BOLD: Final = "\x1b[1m"
_GAP: Final = "  "
_SHORTEST: Final = 8

GOOD: Final = ("RUNNING",)
BAD: Final = ("FAILED", "UNKILLABLE", "UNRESPONSIVE")


class Terminal(NamedTuple):
    """What the output may look like; width None is for pipes and files, where nothing is cut."""

    width: int | None = None
    has_color: bool = False


def terminal() -> Terminal:
    """The one that standard output leads to."""
    if not sys.stdout.isatty():
        return Terminal()
    is_plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return Terminal(max(20, shutil.get_terminal_size().columns), not is_plain)


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        is_figure: aligned to the right.
        is_long: long texts in it lose their middle when room is short.
        rank: where even that does not help, columns of the highest rank are left out first.
    """

    title: str
    is_figure: bool = False
    is_long: bool = False
    rank: int = 0


def width_of(text: str) -> int:
    """Cells that a text takes in a terminal."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def printable(text: str) -> str:
    """The text on one line, without characters that would steer the terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def shortened(text: str, width: int) -> str:
    """The text without its middle, which tells names of one kind apart the least."""
    if width_of(text) <= width:
        return text
    head, tail = width // 2, (width - 1) // 2
    return f"{_cut(text, head)}…{_cut(text[::-1], tail)[::-1]}"


def _cut(text: str, width: int) -> str:
    taken = 0
    for i, character in enumerate(text):
        taken += width_of(character)
        if taken > width:
            return text[:i]
    return text


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], target: Terminal) -> str:
    """The rows under their titles; no line is longer than the terminal is wide."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = _fitting(columns, cells, target.width)
    shown = [i for i, width in enumerate(widths) if width is not None]
    lines = [_line(columns, [c.title for c in columns], widths, shown)]
    if target.has_color:
        lines[0] = f"{_BOLD}{lines[0]}{_PLAIN}"
    for row in cells:
        line = _line(columns, row, widths, shown)
        lines.append(_colored(line, row) if target.has_color else line)
    return "\n".join(lines)


def _fitting(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], room: int | None
) -> list[int | None]:
    """The width of each column; None for one that is left out."""
    widths: list[int | None] = [
        max(width_of(column.title), *(width_of(row[i]) for row in rows), 0)
        for i, column in enumerate(columns)
    ]
    if room is None:
        return widths
    while _total(widths) > room:
        longest = max(
            (i for i, c in enumerate(columns) if c.is_long and (widths[i] or 0) > _SHORTEST),
            key=lambda i: widths[i] or 0,
            default=None,
        )
        if longest is not None:
            widths[longest] = (widths[longest] or 0) - 1
            continue
        shown = [i for i, width in enumerate(widths) if width is not None]
        if len(shown) == 1:
            widths[shown[0]] = room
            break
        widths[max(shown, key=lambda i: columns[i].rank)] = None
    return widths


def _total(widths: Sequence[int | None]) -> int:
    shown = [width for width in widths if width is not None]
    return sum(shown) + len(_GAP) * (len(shown) - 1)


def _line(
    columns: Sequence[Column],
    row: Sequence[str],
    widths: Sequence[int | None],
    shown: Sequence[int],
) -> str:
    made = []
    for i in shown:
        width = widths[i] or 0
        text = shortened(row[i], width)
        fill = " " * (width - width_of(text))
        made.append(fill + text if columns[i].is_figure else text + fill)
    return _GAP.join(made).rstrip()


def _colored(line: str, row: Sequence[str]) -> str:
    """Paint the whole row when something in it is wrong; what is well stays plain."""
    words = {cell.split(" ")[0] for cell in row}
    if words & set(BAD):
        return f"{_COLORS['bad']}{line}{_PLAIN}"
    if words & {"BACKOFF", "STARTING", "RESTARTING", "UNASSIGNED"}:
        return f"{_COLORS['odd']}{line}{_PLAIN}"
    return line


NOTHING: Final = "-"
"""Shown for what is unknown."""


def count(value: float | None) -> str:
    """A whole number with separators."""
    return NOTHING if value is None else f"{value:,.0f}"


def per_second(value: float | None) -> str:
    """A rate; small ones with a decimal place."""
    if value is None:
        return NOTHING
    return f"{value:,.1f}" if 0 < value < 100 else f"{value:,.0f}"


def share(value: float | None) -> str:
    """A share of one CPU, in per cent."""
    return NOTHING if value is None else f"{value * 100:.0f}%"


def mebibytes(value: float | None) -> str:
    """Memory."""
    return NOTHING if value is None else f"{value / (1 << 20):.1f} MiB"


def seconds(value: float | None) -> str:
    """A short time."""
    if value is None:
        return NOTHING
    if value < 120:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"
