"""What a run has shown: recovery times by fault, what was lost, as a table and as JSON. Pure."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any, Final

import engine
from engine.cli.chaos.fault import Fault
from engine.cli.chaos.lines import Tally
from engine.cli.chaos.recovery import Ledger, Wound
from engine.cli.ctl.output import NOTHING, Column, Terminal, count, table

FORMAT: Final = 1
_RANKS: Final = (50, 95, 99)


class ExitCode(IntEnum):
    """How ``engine chaos`` ended; scripts may rely on them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    LOST = 10
    NOT_RECOVERED = 11
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """One line for the help text."""
        return _MEANINGS[self]


_MEANINGS: Final = {
    ExitCode.OK: "every task came back, and nothing was lost",
    ExitCode.FAILED: "it could not be done: the engine did not start, or processes were left",
    ExitCode.USAGE: "wrong arguments, or a fault that is not done to a running engine",
    ExitCode.UNREACHABLE: "the running engine cannot be reached, or is not on this machine",
    ExitCode.LOST: "records were lost, damaged, or came in another order",
    ExitCode.NOT_RECOVERED: "something did not come back in time",
    ExitCode.INTERRUPTED: "interrupted",
}


def help_text() -> str:
    """All of them, for the end of the help page."""
    return "exit codes:\n" + "\n".join(f"  {code.value:<4} {code.meaning}" for code in ExitCode)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that a run has shown.

    Attributes:
        url: of the engine that ran already; None for one of its own.
        records: None where nobody but those who use the engine knows them.
        problems: what went wrong besides, in sentences.
    """

    seed: int
    minutes: float
    url: str | None
    tasks: int
    ledger: Ledger
    records: Tally | None = None
    problems: Sequence[str] = ()
    is_interrupted: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """What weighs most.

        What has not arrived counts as lost only where everything came back and nobody cut the
        waiting short.
        """
        records = self.records or Tally()
        if records.damaged or records.out_of_order:
            return ExitCode.LOST
        if self.ledger.open:
            return ExitCode.NOT_RECOVERED
        if records.lost and not self.is_interrupted:
            return ExitCode.LOST
        if self.problems:
            return ExitCode.FAILED
        return ExitCode.INTERRUPTED if self.is_interrupted else ExitCode.OK

    @property
    def is_to_be_looked_into(self) -> bool:
        """Whether somebody may want to see the files: not all is well, or that is not known."""
        is_told = self.exit_code not in (ExitCode.OK, ExitCode.INTERRUPTED)
        return is_told or bool(self.records and self.records.lost)


def percentile(values: Sequence[float], rank: int) -> float:
    """The smallest value that so many per cent of them do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * rank / 100) - 1)]


def by_fault(ledger: Ledger) -> dict[Fault, dict[str, Any]]:
    """Figures of each fault that was planned, in milliseconds; percentiles of those that healed."""
    found: dict[Fault, dict[str, Any]] = {}
    for fault in Fault:
        wounds = [wound for wound in ledger.wounds if wound.fault is fault]
        skipped = sum(injection.fault is fault for injection in ledger.skipped)
        if not wounds and not skipped:
            continue
        times = [w.seconds * 1000 for w in wounds if w.seconds is not None]
        ranks = {f"p{r}_ms": round(percentile(times, r), 1) if times else None for r in _RANKS}
        found[fault] = {
            "injected": len(wounds),
            "recovered": len(times),
            "skipped": skipped,
            **ranks,
            "max_ms": round(max(times), 1) if times else None,
        }
    return found


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "format": FORMAT,
        "engine": engine.__version__,
        "url": outcome.url,
        "seed": outcome.seed,
        "minutes": outcome.minutes,
        "tasks": outcome.tasks,
        "exit_code": int(outcome.exit_code),
        "is_good": outcome.exit_code is ExitCode.OK,
        "faults": {fault.value: figures for fault, figures in by_fault(outcome.ledger).items()},
        "records": None if outcome.records is None else asdict(outcome.records),
        "problems": list(outcome.problems),
        "injections": [_wound_json(wound) for wound in outcome.ledger.wounds],
    }


def _wound_json(wound: Wound) -> dict[str, Any]:
    return {
        "number": wound.injection.number,
        "fault": wound.fault.value,
        "target": wound.target,
        "planned_at_seconds": round(wound.injection.at, 3),
        "recovery_ms": None if wound.seconds is None else round(wound.seconds * 1000, 1),
    }


def outcome_text(outcome: Outcome, target: Terminal) -> str:
    """Everything, for people."""
    columns = [Column("FAULT"), *(Column(title, is_figure=True) for title in _TITLES)]
    rows = [_row(fault, figures) for fault, figures in by_fault(outcome.ledger).items()]
    parts = [table(columns, rows, target) if rows else "No fault was injected."]
    parts.append(_records_text(outcome))
    parts += [f"Not recovered: {w.fault} of {w.target}" for w in outcome.ledger.open]
    parts += [f"Problem: {problem}" for problem in outcome.problems]
    if outcome.is_interrupted:
        parts.append("Interrupted: what was still to come was left out.")
    parts.append(f"Again with the same faults: --seed {outcome.seed}")
    return "\n".join(parts)


_TITLES: Final = ("TIMES", "BACK", "LEFT OUT", "P50", "P95", "P99", "MAX")


def _row(fault: Fault, figures: dict[str, Any]) -> list[str]:
    times = (figures[f"p{rank}_ms"] for rank in _RANKS)
    counts = (figures[name] for name in ("injected", "recovered", "skipped"))
    return [fault.value, *map(count, counts), *map(duration, (*times, figures["max_ms"]))]


def duration(milliseconds: float | None) -> str:
    """A time as people read it."""
    if milliseconds is None:
        return NOTHING
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.2f} s"


def _records_text(outcome: Outcome) -> str:
    records = outcome.records
    if outcome.url is not None:
        return "Records: what was lost or came twice cannot be told from outside a running engine."
    if records is None:
        return "Records: they were not compared."
    return (
        f"Records: {records.written:,} written, {records.lost:,} lost, "
        f"{records.duplicated:,} duplicated, {records.damaged:,} damaged, "
        f"{records.out_of_order:,} out of order"
    )
