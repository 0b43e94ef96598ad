r"""Chunks of bytes into lines that end in ``\n``, ``\r`` or ``\r\n``, wherever the chunks were cut.

Nothing here does I/O. Lines stay bytes: a chunk of a million of them costs one ``split``.
"""

from itertools import islice


class LineTooLongError(Exception):
    """A line goes on for longer than it may."""


class LineSplitter:
    r"""Takes chunks, gives lines and says how many bytes the lines given so far took up.

    A ``\r`` at the end of a chunk waits for the next one, which may begin with its ``\n``. What
    follows the last line end is held back until its own end comes or :meth:`finish` is called.

    Attributes:
        position: where the first byte after the last line taken stands.
    """

    def __init__(self, position: int = 0, *, longest: int = 1 << 24) -> None:
        self.position = position
        self._fed = position
        self._longest = longest
        self._lines: list[bytes] = []
        self._raw: bytes | None = None  # the bytes of the lines, unless each ends in one byte
        self._widths: list[int] = []
        self._taken = 0
        self._rest: list[bytes] = []
        self._held = 0
        self._skip: tuple[bytes, ...] = ()

    @property
    def held(self) -> int:
        """How many bytes wait for the end of their line."""
        return self._held

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes; only when every line was taken.

        Raises:
            LineTooLongError: what is held back is too long already.
        """
        if self._held > self._longest:
            raise LineTooLongError
        self._fed += len(chunk)
        if self._skip:
            chunk = self._skip_line_end(chunk)
        if b"\r" in chunk or (self._rest and self._rest[-1].endswith(b"\r")):
            self._feed_any(b"".join((*self._rest, chunk)))
        elif b"\n" in chunk:
            lines = chunk.split(b"\n")
            if self._rest:
                lines[0] = b"".join((*self._rest, lines[0]))
            self._hold(lines.pop())
            self._give(lines)
        elif chunk:
            self._rest.append(chunk)
            self._held += len(chunk)

    def _feed_any(self, data: bytes) -> None:
        r"""The slower way, for data with ``\r``."""
        body = data[:-1] if data.endswith(b"\r") else data
        lines = body.splitlines()
        rest = lines.pop() if body and not body.endswith((b"\n", b"\r")) else b""
        self._hold(rest + data[len(body) :])
        self._give(lines, body)

    def _hold(self, rest: bytes) -> None:
        self._rest = [rest] if rest else []
        self._held = len(rest)

    def _give(self, lines: list[bytes], raw: bytes | None = None) -> None:
        self._lines, self._raw, self._widths, self._taken = lines, raw, [], 0

    def take(self, most: int | None = None) -> list[bytes]:
        """The next lines, all of them or ``most``; the position moves behind them."""
        start, count = self._taken, len(self._lines)
        if most is None or start + most >= count:
            lines = self._lines[start:] if start else self._lines
            self._give([])
            self.position = self._fed - self._held
            return lines
        self._taken = start + most
        lines = self._lines[start : self._taken]
        self.position += self._width(lines, start)
        return lines

    def _width(self, lines: list[bytes], start: int) -> int:
        if self._raw is None:
            return sum(map(len, lines)) + len(lines)
        if not self._widths:
            self._widths = [len(line) for line in self._raw.splitlines(keepends=True)]
        return sum(islice(self._widths, start, start + len(lines)))

    def finish(self) -> None:
        """Make a line of what is held back; its line end, should it still come, is passed over."""
        rest = b"".join(self._rest)
        self._hold(b"")
        if rest and not (rest == b"\r" and self._skip):
            self._give([rest.removesuffix(b"\r")])
        if rest:
            self._skip = (b"\n",) if rest.endswith(b"\r") else (b"\r\n", b"\n", b"\r")

    def resume_after(self, byte: bytes) -> None:
        """Go on after this byte; the end of a line that was given without it is passed over."""
        if byte == b"\r":
            self._skip = (b"\n",)
        elif byte != b"\n":
            self._skip = (b"\r\n", b"\n", b"\r")

    def _skip_line_end(self, chunk: bytes) -> bytes:
        data = b"".join((*self._rest, chunk))
        if not data or (data == b"\r" and data in self._skip):
            self._hold(b"")  # nothing yet, or half of what may be two bytes
            return data
        for end in self._skip:
            if data.startswith(end):
                data = data[len(end) :]
                self.position += len(end)
                break
        self._skip = ()
        self._hold(b"")
        return data
