"""What was done to letters that are kept in topics: one SQLite file per connector.

A topic's records cannot be changed, so edits and the progress of replays stand here. A note is
about one letter, which its digest proves: a topic that was made anew has other letters at the same
places, and those have no notes.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from engine.model.letters.place import LetterPlace
from engine.model.letters.stored_letter import Handling, StoredLetter
from engine.storage.database import DatabaseFile, connector_file
from engine.storage.letter_handling import COLUMNS, Change, handling_of

NOTE_MIGRATIONS: Final = (
    """
    CREATE TABLE IF NOT EXISTS notes (
        topic TEXT NOT NULL,
        partition INTEGER NOT NULL,
        "offset" INTEGER NOT NULL,
        name TEXT NOT NULL,
        id TEXT,
        edited_ms INTEGER,
        key BLOB,
        value BLOB,
        headers BLOB,
        replay_begun_ms INTEGER,
        replayed_ms INTEGER,
        replay_topic TEXT,
        replay_ends TEXT,
        PRIMARY KEY (topic, partition, "offset")
    );
    CREATE INDEX IF NOT EXISTS notes_by_id ON notes (id) WHERE id IS NOT NULL
    """,
)
_MOST_AT_ONCE: Final = 500


class LetterNotes:
    """Notes about the letters of one topic. Reading makes no file.

    Args:
        data_dir: the worker's data directory.
        connector: whose notes they are.
        topic: where the letters are.
    """

    def __init__(self, data_dir: Path, connector: str, topic: str) -> None:
        self.path = connector_file(data_dir, "dead-letter-notes", connector)
        self._topic = topic
        self._file = DatabaseFile(self.path, NOTE_MIGRATIONS)

    def about(self, letters: Sequence[StoredLetter]) -> dict[LetterPlace, Handling]:
        """What was done to letters of one partition, as far as anything was.

        Raises:
            StoreError: the file cannot be read.
        """
        if not letters:
            return {}
        names = {each.place: each.name for each in letters}
        first, last = min(names), max(names)
        rows = self._file.query(
            f'SELECT partition, "offset", name, {", ".join(COLUMNS)} FROM notes '  # noqa: S608
            'WHERE topic = ? AND partition = ? AND "offset" BETWEEN ? AND ?',
            self._topic, first.partition, first.number, last.number,
        )  # fmt: skip
        return {
            place: handling_of(columns)
            for partition, offset, name, *columns in rows
            if names.get(place := LetterPlace(partition, offset)) == name
        }

    def sent(self, ids: Iterable[str]) -> dict[str, LetterPlace]:
        """Letters of these failures that were sent, or may have been; one of each.

        Raises:
            StoreError: the file cannot be read.
        """
        found: dict[str, LetterPlace] = {}
        wanted = list(ids)
        while wanted:
            some, wanted = wanted[:_MOST_AT_ONCE], wanted[_MOST_AT_ONCE:]
            marks = ", ".join("?" * len(some))
            rows = self._file.query(
                'SELECT id, partition, "offset" FROM notes WHERE topic = ? '  # noqa: S608 (our own)
                f"AND id IN ({marks}) AND coalesce(replay_begun_ms, replayed_ms) IS NOT NULL "
                'ORDER BY partition DESC, "offset" DESC',
                self._topic, *some,
            )  # fmt: skip
            found |= {each: LetterPlace(partition, offset) for each, partition, offset in rows}
        return found

    def write(self, letters: Iterable[StoredLetter], change: Change) -> None:
        """Remember what was done to letters.

        Raises:
            StoreError: the file cannot be written; nothing was.
        """
        with self._file.transaction() as connection:
            for each in letters:
                key: tuple[Any, ...] = (self._topic, each.place.partition, each.place.number)
                connection.execute(
                    'DELETE FROM notes WHERE topic = ? AND partition = ? AND "offset" = ? '
                    "AND name <> ?", (*key, each.name),
                )  # fmt: skip
                connection.execute(
                    'INSERT OR IGNORE INTO notes (topic, partition, "offset", name, id) '
                    "VALUES (?, ?, ?, ?, ?)", (*key, each.name, each.id),
                )  # fmt: skip
                connection.execute(
                    f"UPDATE notes SET {change.setting} "  # noqa: S608 (our own)
                    'WHERE topic = ? AND partition = ? AND "offset" = ?', (*change.values, *key),
                )  # fmt: skip

    def forget(self, begins: Mapping[int, int]) -> None:
        """Forget letters that are not in the topic any more: those before its beginnings.

        Raises:
            StoreError: the file cannot be written; nothing was.
        """
        if not self._file.exists():
            return
        with self._file.transaction() as connection:
            connection.executemany(
                'DELETE FROM notes WHERE topic = ? AND partition = ? AND "offset" < ?',
                [(self._topic, partition, begin) for partition, begin in begins.items()],
            )

    def close(self) -> None:
        """Close the file."""
        self._file.close()
