"""``scripts/faults``: what comes of seventy faults, here and with two rivals."""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.benchmarks.rivals import install
from tests.system.faults import engine_outcomes, rival_outcomes
from tests.system.faults.outcome import (
    FAILED,
    NOT_APPLICABLE,
    Matrix,
    Outcome,
    matrix_of,
    read,
    write,
)
from tests.system.faults.page import WHO, page
from tests.system.faults.table import FAULTS, NOT_TRIED, RIVALS, Fault

PAGE: Final = Path(__file__).parents[3] / "docs" / "faults.md"


def main(argv: Sequence[str] | None = None) -> int:
    """1 when the engine did not survive something."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    is_part = bool(arguments.faults) or set(arguments.only) != set(WHO)
    if arguments.write and is_part and not arguments.known:
        parser.error("--write writes the whole page: of some faults or some of them alone it needs"
                     " the rest with --known FILE")  # fmt: skip
    wanted = [each for each in FAULTS if not arguments.faults or each.name in arguments.faults]
    console = Console(highlight=False, soft_wrap=True)
    known: list[Outcome] = [each for path in arguments.known for each in read(path)]

    def tell(text: str) -> None:
        console.print(text, markup=False)

    known += _ours(wanted, tell, arguments) if "engine" in arguments.only else []
    rivals = [who for who in RIVALS if who in arguments.only]
    if rivals:
        with TemporaryDirectory(prefix="engine-rivals-") as folder:
            programs = arguments.programs or install(Path(folder) / "env")
            for outcome in _theirs(wanted, rivals, programs, tell):
                known.append(outcome)
                if arguments.json:  # whoever interrupts us has what was tried
                    write(matrix_of(known), arguments.json)
    matrix = matrix_of(known)
    console.print(_table(wanted, matrix))
    if arguments.json:
        write(matrix, arguments.json)
    if arguments.write:
        PAGE.write_text(page(matrix), "utf-8")
    failed = [m for m in matrix.values() if m.who == "engine" and m.result == FAILED]
    return 1 if failed else 0


def _ours(
    wanted: Sequence[Fault], tell: engine_outcomes.Progress, arguments: argparse.Namespace
) -> list[Outcome]:
    numbers = [fault.number for fault in wanted if not fault.untested]
    found = engine_outcomes.run(numbers, tell, with_slow=arguments.slow)
    untested = (fault for fault in wanted if fault.untested)
    return found + [Outcome(f.number, "engine", NOT_APPLICABLE, f.untested) for f in untested]


def _theirs(
    wanted: Sequence[Fault], rivals: Sequence[str], programs: Path, tell: engine_outcomes.Progress
) -> Iterator[Outcome]:
    for fault in wanted:
        for who in rivals:
            reason = fault.reason(who)
            if reason == NOT_TRIED:
                continue
            if reason:
                yield Outcome(fault.number, who, NOT_APPLICABLE, reason)
                continue
            outcome = rival_outcomes.run(fault.number, who, programs)
            tell(f"{fault.name} {who}: {outcome.result} {outcome.reason}")
            yield outcome


def _table(wanted: Sequence[Fault], matrix: Matrix) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("", "what happens", *WHO.values()):
        table.add_column(name, no_wrap=name != "what happens")
    for fault in wanted:
        cells = (matrix.get((fault.number, who)) for who in WHO)
        table.add_row(fault.name, fault.phrase, *map(_coloured, cells))
    return table


def _coloured(outcome: Outcome | None) -> str:
    if outcome is None:
        return ""
    if outcome.result == NOT_APPLICABLE:
        return "[dim]n/a"
    return f"[{'red' if outcome.result == FAILED else 'green'}]{outcome.result}"


def _fault(text: str) -> str:
    name = text.upper()
    if not re.fullmatch(r"F(0[1-9]|[1-6]\d|70)", name):
        raise argparse.ArgumentTypeError(f"{text!r} is none of F01 to F70")
    return name


def _whom(text: str) -> list[str]:
    names = [] if text == "none" else text.split(",")
    for name in names:
        if name not in WHO:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(WHO)}")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/faults", description="What comes of seventy faults, here and elsewhere."
    )
    parser.add_argument("faults", nargs="*", type=_fault, help="F07 F23 …; all of them if none")
    parser.add_argument(
        "--only", type=_whom, default=list(WHO), metavar="WHO",
        help="of engine,supervisor,circus, some; none: what is known is shown",
    )  # fmt: skip
    parser.add_argument("--slow", action="store_true", help="tests too that take minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all outcomes as JSON")
    parser.add_argument(
        "--known", type=Path, action="append", default=[], metavar="FILE",
        help="outcomes that an earlier run has written with --json; may be given often",
    )  # fmt: skip
    parser.add_argument("--write", action="store_true", help="write docs/faults.md")
    parser.add_argument(
        "--programs", type=Path, metavar="DIR", help="where supervisord and circusd are installed"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
