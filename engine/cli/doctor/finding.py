"""What a check found, and the command that mends it."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple

from engine.cli.ctl.output import Column, Terminal, table


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class ExitCode:
    """How ``engine doctor`` ends; 2 is argparse's for wrong arguments."""

    OK = 0
    WARNINGS = 1
    USAGE = 2
    PROBLEMS = 3


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        check: what was looked at, in a word or two.
        text: what was found.
        remedy: the command or the change that mends it; None where there is nothing to mend.
    """

    check: str
    level: Level
    text: str
    remedy: str | None = None


def ok(check: str, text: str) -> Finding:
    """Nothing to mend."""
    return Finding(check, Level.OK, text)


def warning(check: str, text: str, remedy: str) -> Finding:
    """It works, but less well, or not for long."""
    return Finding(check, Level.WARNING, text, remedy)


def problem(check: str, text: str, remedy: str) -> Finding:
    """The engine, or a part of it, cannot work so."""
    return Finding(check, Level.PROBLEM, text, remedy)


def exit_code(findings: Iterable[Finding]) -> int:
    """By the worst of them."""
    levels = {finding.level for finding in findings}
    if Level.PROBLEM in levels:
        return ExitCode.PROBLEMS
    return ExitCode.WARNINGS if Level.WARNING in levels else ExitCode.OK


def findings_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """For ``--json``."""
    return [finding._asdict() for finding in findings]


def findings_text(findings: list[Finding], target: Terminal) -> str:
    """A table, and below it what is to be done, the worst first."""
    columns = (Column("CHECK"), Column("STATE"), Column("FOUND", is_long=True))
    rows = [(f.check, f.level.value, f.text) for f in findings]
    parts = [table(columns, rows, target)]
    order = list(reversed(Level))
    worst_first = sorted(findings, key=lambda f: order.index(f.level))
    parts += [f"{f.level}: {f.text}\n  {f.remedy}" for f in worst_first if f.remedy is not None]
    return "\n\n".join(parts)
