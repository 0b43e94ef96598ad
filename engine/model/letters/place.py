"""Where a dead letter is kept: ``17`` in the worker's file, ``0@17`` in a topic. Pure."""

import re
from typing import Final, NamedTuple

_FILE: Final = -1
_TEXT: Final = re.compile(r"(?:([0-9]{1,9})@)?([0-9]{1,18})")


class LetterPlace(NamedTuple):
    """The name of a letter; places are ordered, and those in the file come first.

    Attributes:
        partition: of the topic; -1 for the file.
        number: the letter's in the file, or its offset in the partition.
    """

    partition: int
    number: int

    def __str__(self) -> str:
        return f"{self.number}" if self.is_in_file else f"{self.partition}@{self.number}"

    @property
    def is_in_file(self) -> bool:
        """Whether it is no topic's."""
        return self.partition == _FILE


BEGINNING: Final = LetterPlace(_FILE, 0)
"""Before every letter."""


def in_file(number: int) -> LetterPlace:
    """The place of a letter in the file."""
    return LetterPlace(_FILE, number)


def place_of(text: str) -> LetterPlace:
    """The place that a text names.

    Raises:
        ValueError: it names none.
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{text[:40]} is no letter; expected a number, or PARTITION@OFFSET in a topic"
        )
    partition, number = found.groups()
    return LetterPlace(_FILE if partition is None else int(partition), int(number))
