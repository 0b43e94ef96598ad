"""The tokens of a literal: delimiters and what is between them (upstream: ``Values.Parser``)."""

from typing import Final

_DELIMITERS: Final = ':,{}[]"'


class Tokens:
    """Walks over a text, token by token, and can go back."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._position = 0
        self._next: str | None = None

    def mark(self) -> int:
        """Where the next token begins."""
        return self._position - len(self._next or "")

    def rewind_to(self, position: int) -> None:
        """Go on from there."""
        self._position = position
        self._next = None

    def has_next(self) -> bool:
        """Whether there is anything left."""
        return self._next is not None or self._position < len(self.text)

    def next(self) -> str:
        """The next token."""
        token = self._read() if self._next is None else self._next
        self._next = None
        return token

    def next_joined(self, count: int) -> str | None:
        """So many tokens as one text; None, and nothing read, when there are fewer."""
        start = self.mark()
        for _ in range(count):
            if not self.has_next():
                self.rewind_to(start)
                return None
            self.next()
        return self.text[start : self._position]

    def can_consume(self, expected: str) -> bool:
        """Whether the next token is this one, blanks around it aside; if so, go past it."""
        if not self.has_next():
            return False
        if self._next is None:
            self._next = self._read()
        while not self._next.strip() and self._position < len(self.text):
            self._next = self._read()
        if self._next.strip() != expected:
            return False
        self._next = None
        return True

    def _read(self) -> str:
        """One token; a delimiter after an odd number of backslashes is none."""
        start = self._position
        escaped = False
        for index in range(start, len(self.text)):
            char = self.text[index]
            if char == "\\":
                escaped = not escaped
                continue
            if char in _DELIMITERS and not escaped:
                self._position = max(index, start + 1)
                return self.text[start : self._position]
            escaped = False
        self._position = len(self.text)
        return self.text[start:]
