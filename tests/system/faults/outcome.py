"""What came of a fault: who was hit, and whether it was survived."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

SURVIVED: Final = "survived"
FAILED: Final = "failed"
NOT_APPLICABLE: Final = "not applicable"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One cell of the matrix.

    Attributes:
        fault: its number.
        who: ``engine``, ``supervisor`` or ``circus``.
        result: survived, failed or not applicable.
        reason: why it is not applicable, or what was seen instead.
    """

    fault: int
    who: str
    result: str
    reason: str = ""


Matrix = Mapping[tuple[int, str], Outcome]


def matrix_of(outcomes: Iterable[Outcome]) -> dict[tuple[int, str], Outcome]:
    """By fault and by whom it hit; the last one counts."""
    return {(each.fault, each.who): each for each in outcomes}


def write(matrix: Matrix, path: Path) -> None:
    """All outcomes as a JSON list."""
    text = json.dumps([asdict(matrix[key]) for key in sorted(matrix)], indent=1)
    path.write_text(f"{text}\n", "utf-8")


def read(path: Path) -> list[Outcome]:
    """What :func:`write` has written."""
    return [Outcome(**each) for each in json.loads(path.read_text("utf-8"))]
