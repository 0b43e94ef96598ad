"""Numbered lines: what a source is given, and what of it a sink has written. Pure but for the file.

Delivery is at least once: a line may come again, together with those after it; nothing else may
happen to one.
"""

import os
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TEXT: Final = "abcdefghijklmnopqrstuvwxyzäöüß€ ,;:-_"
_MOST_AT_ONCE: Final = 20_000


def line(stream: int, number: int) -> bytes:
    """A line that tells its number, and by its text whether it is whole; without a line end."""
    return f"{stream} {number} {_TEXT[: number * 7919 % len(_TEXT)]} {number}".encode()


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the lines of a stream, or of some.

    Attributes:
        duplicated: lines that came more often than once, counted as often as they were too many.
        damaged: lines of the output that nobody wrote.
        out_of_order: lines whose first appearance was before that of an earlier one.
    """

    written: int = 0
    lost: int = 0
    duplicated: int = 0
    damaged: int = 0
    out_of_order: int = 0

    @property
    def is_good(self) -> bool:
        """Whether every line arrived as it was, in order."""
        return not (self.lost or self.damaged or self.out_of_order)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.written + other.written,
            self.lost + other.lost,
            self.duplicated + other.duplicated,
            self.damaged + other.damaged,
            self.out_of_order + other.out_of_order,
        )


def tally(stream: int, written: int, arrived: Iterable[bytes]) -> Tally:
    """Compare what arrived with what was written.

    Args:
        stream: its number.
        written: how many lines.
        arrived: without line ends, in the order in which they came.
    """
    times, damaged, out_of_order, newest = array("Q", bytes(8 * written)), 0, 0, -1
    for text in arrived:
        number = _number(stream, text)
        if number is None or number >= written:
            damaged += 1
            continue
        if not times[number]:
            out_of_order += number < newest
            newest = max(newest, number)
        times[number] += 1
    lost = sum(not each for each in times)
    return Tally(written, lost, sum(times) - (written - lost), damaged, out_of_order)


def _number(stream: int, text: bytes) -> int | None:
    """The number of a line that is whole."""
    words = text.split(b" ", 2)
    if len(words) < 3 or not words[1].isdigit() or len(words[1]) > 12:
        return None
    number = int(words[1])
    return number if text == line(stream, number) else None


def whole_lines(path: Path) -> Iterable[bytes]:
    """The lines of a file; a last one without its end is none yet."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for text in file:
            if text.endswith(b"\n"):
                yield text[:-1]


class Stream:
    """A file of numbered lines that grows steadily.

    Attributes:
        written: how many lines it has.
    """

    def __init__(self, number: int, path: Path, rate: float) -> None:
        self.number = number
        self.path = path
        self.written = 0
        self._rate = rate
        self._began: float | None = None
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write_due(self, now: float) -> None:
        """Write the lines that the rate asks for by now.

        Raises:
            OSError: the disk does not take them.
        """
        if self._began is None:
            self._began = now
        count = min(int((now - self._began) * self._rate) - self.written, _MOST_AT_ONCE)
        if count <= 0:
            return
        numbers = range(self.written, self.written + count)
        data = memoryview(b"".join(line(self.number, n) + b"\n" for n in numbers))
        while data:
            data = data[os.write(self._fd, data) :]
        self.written += count

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
