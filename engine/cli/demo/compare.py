r"""Compares what arrived with what was sent, while both files still grow.

Delivery is at least once, so the output is right when the input is a subsequence of it: every line
in its order, and nothing between but lines that came twice. Lines end as in the file source: in
``\n``, ``\r\n`` or ``\r``; the sink ends each in ``\n``.
"""

import gzip
import os
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Final, cast

_CHUNK: Final = 1 << 20
_SHOWN: Final = 120


def open_input(path: Path) -> IO[bytes]:
    """The file, uncompressed, as the file source reads it.

    Raises:
        OSError: it cannot be read.
    """
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return path.open("rb")


class SentLines:
    """The lines of the input, in order, as far as they are complete."""

    def __init__(self, path: Path) -> None:
        self._file = open_input(path)
        self._rest = b""

    def read(self) -> list[bytes]:
        """The lines of the next chunk; none when there is nothing new."""
        while chunk := self._file.read(_CHUNK):
            data = self._rest + chunk
            # a last \r may be half of a \r\n, and what follows the last line end may go on
            end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, len(data) - 1)) + 1
            self._rest = data[end:]
            if end:
                return data[:end].splitlines()
        return []

    def finish(self) -> list[bytes]:
        """The last line when it has no line end; the source sends it after a while."""
        lines = self._rest.splitlines()
        self._rest = b""
        return lines

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class ArrivedLines:
    """The lines of the output, in order, as far as they are complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0

    def read(self) -> list[bytes] | None:
        """The lines of the next chunk; None when the sink has taken lines back.

        A line without its end is read again: the sink may cut it off and write it anew.
        """
        try:
            with self._path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self._position:
                    return None
                file.seek(self._position)
                return self._complete(file)
        except FileNotFoundError:
            return []

    def _complete(self, file: IO[bytes]) -> list[bytes]:
        chunk = file.read(_CHUNK)
        while b"\n" not in chunk and (more := file.read(_CHUNK)):
            chunk += more
        end = chunk.rfind(b"\n") + 1
        self._position += end
        return chunk[:end].split(b"\n")[:-1]


class Comparison:
    """How far the output is a copy of the input.

    Attributes:
        arrived: lines of the input that the output has, in order.
        extra: lines of the output that came between them: duplicates, as a rule.
    """

    def __init__(self, sent: Path, arrived: Path) -> None:
        self._paths = (sent, arrived)
        self._open()

    def _open(self) -> None:
        sent, arrived = self._paths
        self._sent = SentLines(sent)
        self._arrived = ArrivedLines(arrived)
        self._expected: deque[bytes] = deque()
        self._waiting: deque[bytes] = deque()
        self.arrived = 0
        self.extra = 0

    @property
    def next_line(self) -> bytes | None:
        """The first line that has not arrived."""
        return self._expected[0] if self._expected else None

    def step(self) -> bool:
        """Compare the next chunk; False when there is nothing new."""
        if not self._waiting:
            lines = self._arrived.read()
            if lines is None:
                self.close()
                self._open()
                return True
            self._waiting.extend(lines)
        if len(self._expected) < len(self._waiting):
            self._expected.extend(self._sent.read() or self._sent.finish())
        return self._match()

    def finish(self) -> None:
        """Compare all that is left, a last line without a line end included."""
        while self.step():
            pass
        if not self._expected:
            self._expected.extend(self._sent.read() or self._sent.finish())
        while True:
            self._match()
            if not self._expected:
                self.extra += len(self._waiting)
                self._waiting.clear()
            lines = self._arrived.read()
            if not lines:
                return
            self._waiting.extend(lines)

    def _match(self) -> bool:
        """Match as many lines as both sides have; what is not expected next is extra."""
        expected, waiting = self._expected, self._waiting
        has_moved = bool(expected and waiting)
        while expected and waiting:
            if waiting.popleft() == expected[0]:
                expected.popleft()
                self.arrived += 1
            else:
                self.extra += 1
        return has_moved

    def close(self) -> None:
        """Close the files."""
        self._sent.close()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison of two finished files found.

    Attributes:
        missing: lines that did not arrive as often as they were sent.
        strangers: lines of the output that the input does not have.
        out_of_place: the first line that is missing, or not where it belongs; None if all are.
    """

    lines: int
    duplicates: int = 0
    missing: int = 0
    strangers: int = 0
    out_of_place: tuple[int, bytes] | None = None

    @property
    def is_good(self) -> bool:
        """Whether every line arrived, in order, and nothing that nobody sent."""
        return self.out_of_place is None and not self.strangers

    def __str__(self) -> str:
        if self.is_good:
            twice = f"{self.duplicates:,} of them twice" if self.duplicates else "no duplicates"
            return f"all {self.lines:,} lines arrived in order, {twice}"
        problems = []
        if self.missing:
            problems.append(f"{self.missing:,} of {self.lines:,} lines are missing")
        elif self.out_of_place:
            problems.append("lines are out of order")
        if self.strangers:
            problems.append(f"{self.strangers:,} lines were never sent")
        if self.out_of_place:
            number, line = self.out_of_place
            problems.append(f"first at line {number:,}: {line[:_SHOWN].decode('utf-8', 'replace')}")
        return "; ".join(problems)


def judge(sent: Path, arrived: Path, least: int) -> Verdict:
    """Compare what there is; the output does not change any more.

    Args:
        sent: the input, which may have grown meanwhile.
        arrived: the output.
        least: so many lines of the input must have arrived.

    Raises:
        OSError: one cannot be read.
    """
    comparison = Comparison(sent, arrived)
    try:
        comparison.finish()
    finally:
        comparison.close()
    is_complete = comparison.arrived >= least
    if is_complete and not comparison.extra:
        return Verdict(comparison.arrived)
    if is_complete or comparison.next_line is None:
        return _explained(sent, arrived, comparison.arrived, None)
    place = (comparison.arrived + 1, comparison.next_line)
    return _explained(sent, arrived, least, place)


def _explained(sent: Path, arrived: Path, lines: int, place: tuple[int, bytes] | None) -> Verdict:
    """Count what is missing and what came too often."""
    balance = Counter(map(hash, islice(_lines_of(sent), lines)))
    known = set(balance)
    balance.subtract(map(hash, _arrived_lines(arrived)))
    return Verdict(
        lines=lines,
        duplicates=sum(max(0, -count) for line, count in balance.items() if line in known),
        missing=sum(max(0, count) for count in balance.values()),
        strangers=-sum(count for line, count in balance.items() if line not in known),
        out_of_place=place,
    )


def count_lines(path: Path) -> int:
    """How many lines the file has, one without a line end included.

    Raises:
        OSError: it cannot be read.
    """
    return sum(1 for _ in _lines_of(path))


def _lines_of(path: Path) -> Iterator[bytes]:
    lines = SentLines(path)
    try:
        while found := lines.read():
            yield from found
        yield from lines.finish()
    finally:
        lines.close()


def _arrived_lines(path: Path) -> Iterator[bytes]:
    lines = ArrivedLines(path)
    while found := lines.read():
        yield from found
