"""docs/faults.md: the matrix as a page."""

from collections.abc import Iterator

from tests.system.faults.outcome import NOT_APPLICABLE, Matrix
from tests.system.faults.table import FAULTS, NOT_TRIED, Fault

WHO = {"engine": "engine", "supervisor": "Supervisor", "circus": "circus"}

_HEAD = """\
# Seventy faults

What happens to a supervisor of processes sooner or later, and what comes of it: here, with
Supervisor 4.3 and with circus 0.19. `scripts/faults --write` runs all of it with real processes and
writes this page; `scripts/faults F07 F23` runs some. Do not edit it.

With the engine, a fault is *survived* when what its tests demand has happened, and when afterwards,
seen from outside, each running task has exactly one live process, a stopped one none, and no
descriptor, thread, zombie, control group or series of the metrics is left over. Rivals are set up
as their manuals have it for processes that are to run for ever. For them it is enough that the
process comes back, or stays away where it has to, that nothing is left behind, and that the
supervisor goes on.

| | what happens | engine | Supervisor | circus |
|---|---|---|---|---|
"""


def page(matrix: Matrix) -> str:
    """The page, in Markdown."""
    notes: list[str] = []
    rows = "".join(f"{_row(fault, matrix, notes)}\n" for fault in FAULTS)
    return _HEAD + rows + "\n" + "".join(_listed(notes))


def _row(fault: Fault, matrix: Matrix, notes: list[str]) -> str:
    cells = []
    for who in WHO:
        outcome = matrix.get((fault.number, who))
        if outcome is None:
            cells.append(NOT_TRIED)
            continue
        result = "n/a" if outcome.result == NOT_APPLICABLE else outcome.result
        marks = [_mark(outcome.reason, notes)] if outcome.reason else []
        if who == "engine" and fault.simulated:
            marks.append(_mark(fault.simulated, notes))
        cells.append(" ".join((result, *marks)))
    return f"| {fault.name} | {fault.phrase} | {' | '.join(cells)} |"


def _mark(text: str, notes: list[str]) -> str:
    """The number of a note below the table; equal ones are one."""
    if text not in notes:
        notes.append(text)
    return f"<sup>{notes.index(text) + 1}</sup>"


def _listed(notes: list[str]) -> Iterator[str]:
    yield "n/a: not applicable.\n\n"
    for number, text in enumerate(notes, 1):
        yield f"{number}. {text}\n"
