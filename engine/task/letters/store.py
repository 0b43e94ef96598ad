"""Where the dead letters of a connector are: a file of the worker, and a topic if it names one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from engine.kafka.client_config import admin_config, producer_config
from engine.kafka.topic_reader import TopicReader
from engine.model.error_policy import error_policy
from engine.model.letters.place import LetterPlace
from engine.model.letters.stored_letter import StoredLetter
from engine.storage.dead_letter_store import DeadLetterStore
from engine.storage.letter_handling import Change
from engine.storage.letter_notes import LetterNotes
from engine.task.letters.topic_letters import TopicLetters


class LetterStore(Protocol):
    """Letters in one place or the other. Each method may raise ConnectError.

    Attributes:
        is_file: whether it is the worker's file.
    """

    is_file: bool

    def count(self) -> int:
        """How many letters there are; of a topic about so many."""

    def pages(self, after: LetterPlace) -> Iterator[Sequence[StoredLetter]]:
        """All letters behind a place in order, in pages, of which some may be empty."""

    def letter(self, place: LetterPlace) -> StoredLetter | None:
        """One letter, if it is there."""

    def handle(self, letters: Iterable[StoredLetter], change: Change) -> None:
        """Remember what was done to letters."""

    def removable(
        self, page: Sequence[tuple[StoredLetter, bool]], held: set[int], *, dry_run: bool
    ) -> Sequence[LetterPlace]:
        """Those of the marked letters that can be taken away.

        Args:
            page: of :meth:`pages`; none is left out, and they come in order.
            held: partitions with a letter that is to stay; more are added.
            dry_run: none will be taken away; ``held`` is then known from the pages before.
        """

    def remove(self, places: Iterable[LetterPlace]) -> None:
        """Take away for good what is removable."""

    def close(self) -> None:
        """Give everything back."""


def letter_stores(
    config: Mapping[str, str], worker: Mapping[str, str], data_dir: Path, queue: str
) -> list[LetterStore]:
    """The stores of a connector; ``queue`` is ``file``, ``topic`` or ``all``."""
    name, stores = config["name"], list[LetterStore]()
    if queue != "topic":
        stores.append(DeadLetterStore(data_dir, name))
    topic = error_policy(worker, config).topic
    if topic and queue != "file":
        client = producer_config(worker, config, f"connector-letters-{name}")
        admin = admin_config(client, worker, config, f"connector-adminclient-{name}")
        reader = TopicReader(client, topic, admin)
        stores.append(TopicLetters(reader, LetterNotes(data_dir, name, topic)))
    return stores
