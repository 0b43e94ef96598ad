"""How far something has come that takes many requests: a line that is written over."""

import sys
from typing import Final

_BAR: Final = 30


class Progress:
    """A bar on standard error, where somebody looks at it.

    Args:
        what: is being counted.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._done = 0
        self._is_shown = False

    def show(self, more: int, total: int, *, is_over: bool = False) -> None:
        """So much more was done, of a total that may be an estimate.

        What is over at once shows nothing.
        """
        self._done += more
        if not sys.stderr.isatty() or (is_over and not self._is_shown):
            return
        self._is_shown = True
        filled = _BAR if is_over else _BAR * min(self._done, total) // max(total, 1)
        bar = "#" * filled + "." * (_BAR - filled)
        text = f"\r[{bar}] {self._done:,}/{max(total, self._done):,} {self._what}"
        print(text, end="\n" if is_over else "", file=sys.stderr, flush=True)
