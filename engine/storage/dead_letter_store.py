"""Dead letters without a topic: one SQLite file per connector, bounded by size and by age.

The tasks of a connector write, each for itself; whoever looks at letters or takes them away may do
so while they run. A letter is there once however often its record fails in the same way.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from engine.api.errors import ConnectError
from engine.model.error_policy import QueueLimits
from engine.model.letters.dead_letter import DeadLetter, RawRecord
from engine.model.letters.place import LetterPlace, in_file
from engine.model.letters.stored_letter import StoredLetter
from engine.storage import letter_handling
from engine.storage.database import DatabaseFile, connector_file
from engine.storage.migration import Additive

DEAD_LETTER_MIGRATIONS: Final = (
    """
    CREATE TABLE IF NOT EXISTS letters (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        times INTEGER NOT NULL DEFAULT 1,
        connector TEXT NOT NULL,
        task INTEGER NOT NULL,
        stage TEXT NOT NULL,
        executing TEXT NOT NULL,
        exception TEXT NOT NULL,
        message TEXT,
        stacktrace TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        first_failed_ms INTEGER NOT NULL,
        failed_ms INTEGER NOT NULL,
        topic TEXT NOT NULL,
        partition INTEGER,
        "offset" INTEGER,
        timestamp INTEGER,
        source_partition TEXT,
        source_offset TEXT,
        key BLOB,
        value BLOB,
        headers BLOB
    );
    CREATE INDEX IF NOT EXISTS letters_by_age ON letters (failed_ms)
    """,
    Additive(
        """
        CREATE TABLE IF NOT EXISTS handling (
            number INTEGER PRIMARY KEY REFERENCES letters (number) ON DELETE CASCADE,
            edited_ms INTEGER,
            key BLOB,
            value BLOB,
            replay_begun_ms INTEGER,
            replayed_ms INTEGER,
            replay_topic TEXT,
            replay_ends TEXT
        )
        """
    ),
    Additive("ALTER TABLE handling ADD COLUMN headers BLOB"),
)
_COLUMNS: Final = (
    "id", "connector", "task", "stage", "executing", "exception", "message", "stacktrace",
    "attempts", "first_failed_ms", "failed_ms", "topic", "partition", "offset", "timestamp",
    "source_partition", "source_offset", "key", "value", "headers",
)  # fmt: skip
_QUOTED: Final = ", ".join(f'"{name}"' for name in _COLUMNS)
_WRITE: Final = f"""
    INSERT INTO letters ({_QUOTED}) VALUES ({", ".join("?" * len(_COLUMNS))})
    ON CONFLICT (id) DO UPDATE SET
        times = times + 1, task = excluded.task, message = excluded.message,
        stacktrace = excluded.stacktrace, attempts = excluded.attempts,
        failed_ms = excluded.failed_ms
"""  # noqa: S608 (names of our own)
_HANDLING: Final = ", ".join(f"handling.{name}" for name in letter_handling.COLUMNS)
_SELECT: Final = f"""
    SELECT letters.number, times, {_HANDLING}, {", ".join(f'letters."{name}"' for name in _COLUMNS)}
    FROM letters LEFT JOIN handling USING (number)
"""  # noqa: S608 (names of our own)
_PAGE: Final = 500
_TAKE_OLDEST: Final = """
    DELETE FROM letters WHERE number IN (
        SELECT number FROM letters WHERE number < (SELECT max(number) FROM letters)
        ORDER BY number LIMIT ?
    )
"""


class QueueFullError(ConnectError):
    """The file may not grow any more, and nothing in it may be given up."""


class DeadLetterStore:
    """The letters of one connector. Nothing is opened before it is needed; reading makes no file.

    Args:
        data_dir: the worker's data directory.
        connector: the connector's name.
    """

    is_file = True

    def __init__(self, data_dir: Path, connector: str) -> None:
        self.path = connector_file(data_dir, "dead-letters", connector)
        self._file = DatabaseFile(self.path, DEAD_LETTER_MIGRATIONS)

    def add(self, letters: Sequence[DeadLetter], limits: QueueLimits, now_ms: int) -> int:
        """Keep letters, all or none; how many older ones had to give way.

        Raises:
            StoreError: the file cannot be written; nothing was.
            QueueFullError: there is no room and nothing may give way; nothing was written.
        """
        with self._file.transaction() as connection:
            dropped = 0
            if limits.age >= 0:
                old = "DELETE FROM letters WHERE failed_ms < ?"
                dropped += connection.execute(old, (now_ms - limits.age * 1000,)).rowcount
            connection.executemany(_WRITE, [_row(letter) for letter in letters])
            if _used(connection) > limits.size and not limits.drops_oldest:
                raise QueueFullError(f"{self.path} may not be larger than {limits.size} bytes")
            return dropped + _make_room(connection, limits.size)

    def count(self) -> int:
        """How many letters there are.

        Raises:
            StoreError: the file cannot be read.
        """
        return sum(self.counts().values())

    def pages(self, after: LetterPlace) -> Iterator[Sequence[StoredLetter]]:
        """All letters behind a place, in the order in which they came.

        Raises:
            StoreError: the file cannot be read.
        """
        number = after.number if after.is_in_file else None
        while number is not None and (page := self.letters(number, _PAGE)):
            number = page[-1].place.number
            yield page

    def letters(self, after: int = 0, limit: int = 1000) -> list[StoredLetter]:
        """Letters in the order in which they came, from the first with a greater number on.

        Raises:
            StoreError: the file cannot be read.
        """
        behind = "WHERE letters.number > ? ORDER BY letters.number LIMIT ?"
        rows = self._file.query(f"{_SELECT} {behind}", after, limit)
        return [_stored(row) for row in rows]

    def counts(self) -> dict[tuple[str, str], int]:
        """How many letters there are, by stage and class of the exception.

        Raises:
            StoreError: the file cannot be read.
        """
        rows = self._file.query("SELECT stage, exception, count(*) FROM letters GROUP BY 1, 2")
        return {(stage, exception): count for stage, exception, count in rows}

    def letter(self, place: LetterPlace) -> StoredLetter | None:
        """One letter, if it is there.

        Raises:
            StoreError: the file cannot be read.
        """
        found = self.letters(place.number - 1, 1)
        return found[0] if found and found[0].place == place else None

    def handle(self, letters: Iterable[StoredLetter], change: letter_handling.Change) -> None:
        """Remember what was done to letters; what is not there any more is left out.

        Raises:
            StoreError: the file cannot be written; nothing was.
        """
        if not self.path.exists():
            return
        with self._file.transaction() as connection:
            for stored in letters:
                number = stored.place.number
                add = "INSERT OR IGNORE INTO handling (number) SELECT number FROM letters"
                connection.execute(f"{add} WHERE number = ?", (number,))
                update = f"UPDATE handling SET {change.setting} WHERE number = ?"  # noqa: S608 (our own)
                connection.execute(update, (*change.values, number))

    def removable(
        self, page: Sequence[tuple[StoredLetter, bool]], held: set[int], *, dry_run: bool
    ) -> Sequence[LetterPlace]:
        """The marked letters: any can be taken out of a file."""
        del held, dry_run
        return [stored.place for stored, is_marked in page if is_marked]

    def remove(self, places: Iterable[LetterPlace]) -> None:
        """Take letters away for good, if they are there.

        Raises:
            StoreError: the file cannot be written; all are still there.
        """
        if not self.path.exists():
            return
        with self._file.transaction() as connection:
            wanted = [(place.number,) for place in places]
            connection.executemany("DELETE FROM letters WHERE number = ?", wanted)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _used(connection: sqlite3.Connection) -> int:
    """Bytes of the file that are in use."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)


def _make_room(connection: sqlite3.Connection, size: int) -> int:
    """Take the oldest letters away until the others fit; how many. The newest always stays."""
    dropped, at_once = 0, 1
    while _used(connection) > size:
        taken = connection.execute(_TAKE_OLDEST, (at_once,)).rowcount
        if not taken:
            break
        dropped += taken
        at_once *= 2
    return dropped


def _row(letter: DeadLetter) -> tuple[Any, ...]:
    record = letter.record
    return (
        letter.id, letter.connector, letter.task, letter.stage, letter.executing, letter.exception,
        letter.message, letter.stacktrace, letter.attempts, letter.failed_ms, letter.failed_ms,
        record.topic, record.partition, record.offset, record.timestamp,
        _json(record.source_partition), _json(record.source_offset), record.key, record.value,
        letter_handling.headers_json(record.headers) if record.headers else None,
    )  # fmt: skip


def _stored(row: tuple[Any, ...]) -> StoredLetter:
    number, times, *values = row
    size = len(letter_handling.COLUMNS)
    of = dict(zip(_COLUMNS, values[size:], strict=True))
    record = RawRecord(
        topic=of["topic"],
        key=of["key"],
        value=of["value"],
        headers=letter_handling.headers_of(of["headers"]),
        partition=of["partition"],
        offset=of["offset"],
        timestamp=of["timestamp"],
        source_partition=_map(of["source_partition"]),
        source_offset=_map(of["source_offset"]),
    )
    same = ("connector", "task", "stage", "executing", "exception", "message", "stacktrace",
            "attempts", "failed_ms")  # fmt: skip
    return StoredLetter(
        in_file(number),
        times,
        of["first_failed_ms"],
        DeadLetter(record=record, **{name: of[name] for name in same}),
        letter_handling.handling_of(values[:size]),
        name=f"{of['connector']}/{number}/{of['first_failed_ms']}",
        id=of["id"],
    )


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value, default=repr)


def _map(text: str | None) -> dict[str, Any] | None:
    found: dict[str, Any] | None = None if text is None else json.loads(text)
    return found
