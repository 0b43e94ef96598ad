"""A walk over dead letters that ends in time and says where the next one is to go on."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from engine.model.letters.filter import Condition, all_hold
from engine.model.letters.place import LetterPlace
from engine.model.letters.stored_letter import StoredLetter
from engine.task.letters.reader import LetterReader
from engine.task.letters.store import LetterStore

SECONDS: Final = 2.0
"""Of one walk; less than a request may take, for something is to be done with what it finds."""

MarkedPage = Sequence[tuple[StoredLetter, bool]]
"""Letters, and whether each is meant."""


class LetterScan:
    """Goes through the stores of a connector, one after the other.

    Args:
        stores: those of the file first.
        reader: decodes what conditions ask for.
        wanted: conditions that all must hold.
        after: where to begin.
        is_meant: another condition.

    Attributes:
        at: the last letter that was looked at.
        seen: how many these are.
        is_complete: whether there are no more.
    """

    def __init__(
        self,
        stores: Sequence[LetterStore],
        reader: LetterReader,
        wanted: Sequence[Condition],
        after: LetterPlace,
        is_meant: Callable[[StoredLetter], bool] = lambda _: True,
    ) -> None:
        self.at = after
        self.seen = 0
        self.is_complete = False
        self._stores = stores
        self._reader = reader
        self._wanted = wanted
        self._is_meant = is_meant
        self._deadline = time.monotonic() + SECONDS

    @property
    def next(self) -> str | None:
        """Where to go on."""
        return None if self.is_complete else str(self.at)

    def pages(self) -> Iterator[tuple[LetterStore, MarkedPage]]:
        """All letters."""
        for store, page in self._pages():
            marked = [(stored, self._is_wanted(stored)) for stored in page]
            yield store, marked
            self._passed(page)

    def matching(self) -> Iterator[StoredLetter]:
        """Those that are meant; whoever takes no more goes on behind the last one."""
        for _, page in self._pages():
            for stored in page:
                self.at, self.seen = stored.place, self.seen + 1
                if self._is_wanted(stored):
                    yield stored

    def _pages(self) -> Iterator[tuple[LetterStore, Sequence[StoredLetter]]]:
        for store in self._stores:
            for page in store.pages(self.at):
                yield store, page
                # behind a page with something: else the next walk begins where this one did
                if page and time.monotonic() >= self._deadline:
                    return
        self.is_complete = True

    def _passed(self, page: Sequence[StoredLetter]) -> None:
        if page:
            self.at, self.seen = page[-1].place, self.seen + len(page)

    def _is_wanted(self, stored: StoredLetter) -> bool:
        return self._is_meant(stored) and all_hold(
            self._wanted, lambda name, path: self._reader.field(stored, name, path)
        )
