"""Dead letters without a topic: one SQLite file per connector, bounded by size and by age.

The tasks of a connector write, each for itself; whoever looks at letters or takes them away may do
so while they run. A letter is there once however often its record fails in the same way.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from engine.api.errors import ConnectError
from engine.model.dead_letter import DeadLetter, RawRecord
from engine.model.error_policy import QueueLimits, Stage
from engine.storage.connector_file import connector_file
from engine.storage.database import Database, StoreError
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
_HANDLING: Final = (
    "edited_ms", "edited_key", "edited_value", "replay_begun_ms", "replayed_ms", "replay_topic",
    "replay_ends",
)  # fmt: skip
_SELECT: Final = f"""
    SELECT letters.number, times, edited_ms, handling.key, handling.value, replay_begun_ms,
           replayed_ms, replay_topic, replay_ends,
           {", ".join(f'letters."{name}"' for name in _COLUMNS)}
    FROM letters LEFT JOIN handling USING (number)
"""  # noqa: S608 (names of our own)
_TAKE_OLDEST: Final = """
    DELETE FROM letters WHERE number IN (
        SELECT number FROM letters WHERE number < (SELECT max(number) FROM letters)
        ORDER BY number LIMIT ?
    )
"""


class QueueFullError(ConnectError):
    """The file may not grow any more, and nothing in it may be given up."""


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """A letter in the file.

    Attributes:
        number: grows with every letter; never used twice.
        times: how often this failure of this record was met.
        first_failed_ms: when for the first time; ``letter.failed_ms`` is the last.
        edited: the record as somebody has changed it; the letter keeps the original.
        edited_ms: when.
        replay_begun_ms: when it was last about to be sent; None before, and when it was not.
        replayed_ms: when Kafka had it again.
        replay_topic: where it was sent.
        replay_ends: the ends of that topic's partitions before: what was sent lies behind them.
    """

    number: int
    times: int
    first_failed_ms: int
    letter: DeadLetter
    edited: RawRecord | None = None
    edited_ms: int | None = None
    replay_begun_ms: int | None = None
    replayed_ms: int | None = None
    replay_topic: str | None = None
    replay_ends: Mapping[int, int] = field(default_factory=dict)

    @property
    def record(self) -> RawRecord:
        """What a replay sends."""
        return self.letter.record if self.edited is None else self.edited

    @property
    def is_uncertain(self) -> bool:
        """Whether a replay ended before anybody knew whether Kafka has the record."""
        return self.replay_begun_ms is not None and self.replayed_ms is None


class DeadLetterStore:
    """The letters of one connector. Nothing is opened before it is needed; reading makes no file.

    Args:
        data_dir: the worker's data directory.
        connector: the connector's name.
    """

    def __init__(self, data_dir: Path, connector: str) -> None:
        self.path = connector_file(data_dir, "dead-letters", connector)
        self._opened: Database | None = None

    def add(self, letters: Sequence[DeadLetter], limits: QueueLimits, now_ms: int) -> int:
        """Keep letters, all or none; how many older ones had to give way.

        Raises:
            StoreError: the file cannot be written; nothing was.
            QueueFullError: there is no room and nothing may give way; nothing was written.
        """
        database = self._database()
        with database.transaction() as connection:
            dropped = 0
            if limits.age >= 0:
                old = "DELETE FROM letters WHERE failed_ms < ?"
                dropped += connection.execute(old, (now_ms - limits.age * 1000,)).rowcount
            connection.executemany(_WRITE, [_row(letter) for letter in letters])
            if _used(connection) > limits.size and not limits.drops_oldest:
                raise QueueFullError(f"{self.path} may not be larger than {limits.size} bytes")
            return dropped + _make_room(connection, limits.size)

    def letters(self, after: int = 0, limit: int = 1000) -> list[StoredLetter]:
        """Letters in the order in which they came, from the first with a greater number on.

        Raises:
            StoreError: the file cannot be read.
        """
        behind = "WHERE letters.number > ? ORDER BY letters.number LIMIT ?"
        rows = self._read(f"{_SELECT} {behind}", after, limit)
        return [_stored(row) for row in rows]

    def counts(self) -> dict[tuple[str, str], int]:
        """How many letters there are, by stage and class of the exception.

        Raises:
            StoreError: the file cannot be read.
        """
        rows = self._read("SELECT stage, exception, count(*) FROM letters GROUP BY 1, 2")
        return {(stage, exception): count for stage, exception, count in rows}

    def letter(self, number: int) -> StoredLetter | None:
        """One letter, if it is there.

        Raises:
            StoreError: the file cannot be read.
        """
        found = self.letters(number - 1, 1)
        return found[0] if found and found[0].number == number else None

    def edit(self, number: int, edited: RawRecord | None, now_ms: int) -> None:
        """Keep another key and value beside the original; None takes them back.

        Raises:
            StoreError: the file cannot be written; nothing was.
        """
        what = (None, None, None) if edited is None else (now_ms, edited.key, edited.value)
        self._handle("edited_ms = ?, key = ?, value = ?", what, [number])

    def begin_replay(
        self, numbers: Iterable[int], topic: str, ends: Mapping[int, int], now_ms: int
    ) -> None:
        """Remember that letters are about to be sent, before they are.

        Raises:
            StoreError: the file cannot be written; nothing was.
        """
        told = (now_ms, topic, json.dumps(ends))
        self._handle(
            "replay_begun_ms = ?, replayed_ms = NULL, replay_topic = ?, replay_ends = ?",
            told, numbers,
        )  # fmt: skip

    def end_replay(self, numbers: Iterable[int], replayed_ms: int | None) -> None:
        """Remember that letters were sent; None when it is certain that they were not.

        Raises:
            StoreError: the file cannot be written; nothing was.
        """
        if replayed_ms is None:
            self._handle("replay_begun_ms = ?", (None,), numbers)
        else:
            self._handle("replayed_ms = ?", (replayed_ms,), numbers)

    def _handle(self, setting: str, values: Sequence[Any], numbers: Iterable[int]) -> None:
        if not self.path.exists():
            return
        with self._database().transaction() as connection:
            for number in numbers:
                add = "INSERT OR IGNORE INTO handling (number) SELECT number FROM letters"
                connection.execute(f"{add} WHERE number = ?", (number,))
                change = f"UPDATE handling SET {setting} WHERE number = ?"  # noqa: S608 (our own)
                connection.execute(change, (*values, number))

    def remove(self, numbers: Sequence[int]) -> int:
        """Take letters away for good; how many there were.

        Raises:
            StoreError: the file cannot be written; all are still there.
        """
        if not self.path.exists():
            return 0
        with self._database().transaction() as connection:
            wanted = [(number,) for number in numbers]
            return connection.executemany("DELETE FROM letters WHERE number = ?", wanted).rowcount

    def close(self) -> None:
        """Close the file."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _database(self) -> Database:
        if self._opened is None:
            with _os_errors(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self._opened = Database(self.path, DEAD_LETTER_MIGRATIONS)
        return self._opened

    def _read(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        return self._database().query(sql, *arguments) if self.path.exists() else []


@contextlib.contextmanager
def _os_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error


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
    headers = [(name, None if value is None else value.hex()) for name, value in record.headers]
    return (
        letter.id, letter.connector, letter.task, letter.stage.value, letter.executing,
        letter.exception, letter.message, letter.stacktrace, letter.attempts, letter.failed_ms,
        letter.failed_ms, record.topic, record.partition, record.offset, record.timestamp,
        _json(record.source_partition), _json(record.source_offset), record.key, record.value,
        json.dumps(headers).encode() if headers else None,
    )  # fmt: skip


def _stored(row: tuple[Any, ...]) -> StoredLetter:
    number, times, *values = row
    of = dict(zip((*_HANDLING, *_COLUMNS), values, strict=True))
    raw_headers = json.loads(of["headers"]) if of["headers"] else ()
    headers = ((name, text if text is None else bytes.fromhex(text)) for name, text in raw_headers)
    record = RawRecord(
        topic=of["topic"],
        key=of["key"],
        value=of["value"],
        headers=tuple(headers),
        partition=of["partition"],
        offset=of["offset"],
        timestamp=of["timestamp"],
        source_partition=_map(of["source_partition"]),
        source_offset=_map(of["source_offset"]),
    )
    same = ("connector", "task", "executing", "exception", "message", "stacktrace", "attempts",
            "failed_ms")  # fmt: skip
    letter = DeadLetter(
        stage=Stage(of["stage"]), record=record, **{name: of[name] for name in same}
    )
    edited = replace(record, key=of["edited_key"], value=of["edited_value"])
    return StoredLetter(
        number,
        times,
        of["first_failed_ms"],
        letter,
        edited=None if of["edited_ms"] is None else edited,
        replay_ends={int(p): end for p, end in json.loads(of["replay_ends"] or "{}").items()},
        **{name: of[name] for name in _HANDLING if name.endswith(("_ms", "_topic"))},
    )


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value, default=repr)


def _map(text: str | None) -> dict[str, Any] | None:
    found: dict[str, Any] | None = None if text is None else json.loads(text)
    return found
