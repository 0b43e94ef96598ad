"""Source offsets: one small SQLite file per connector, written by its tasks alone.

A row is what Kafka Connect keeps in its offsets topic: the key ``["connector",{partition}]`` and
the offset, both as JSON. Rows are found whatever the order of a partition's fields. A row also
carries which process wrote it, so that an older process of a task cannot overwrite a newer one.
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from engine.api.errors import DataError, IllegalWorkerStateError
from engine.api.record import Offset, Partition
from engine.storage.database import Database, StoreError, connector_file_name, make_directory_of

OFFSET_MIGRATIONS: Final = (
    """
    CREATE TABLE IF NOT EXISTS offsets (
        canonical TEXT PRIMARY KEY,
        key TEXT NOT NULL,
        value TEXT,
        task INTEGER NOT NULL,
        generation INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS batch_limits (
        topic TEXT PRIMARY KEY,
        bytes INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
)
_WRITE: Final = """
    INSERT INTO offsets (canonical, key, value, task, generation) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (canonical) DO UPDATE SET
        key = excluded.key, value = excluded.value, task = excluded.task,
        generation = excluded.generation
    WHERE offsets.task != excluded.task OR offsets.generation <= excluded.generation
"""
_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_PLAIN: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_ESCAPED: Final = json.JSONEncoder(separators=(",", ":"))
_BY_HAND: Final = -1
"""The task of rows that somebody set through the REST API."""


class OffsetStore:
    """The offsets of one connector. Nothing is opened before it is needed; reading makes no file.

    Args:
        data_dir: the worker's data directory.
        connector: the connector's name.
    """

    def __init__(self, data_dir: Path | str, connector: str) -> None:
        self.path = connector_file_name(data_dir, "offsets", connector)
        self._connector = connector
        self._writer: Database | None = None
        self._reader: sqlite3.Connection | None = None

    def offset(self, partition: Partition) -> Offset | None:
        """The committed offset of a source partition, or None.

        Raises:
            StoreError: the file cannot be read.
        """
        rows = self._read("SELECT value FROM offsets WHERE canonical = ?", _canonical(partition))
        return None if not rows or rows[0][0] is None else json.loads(rows[0][0])

    def offsets(self, partitions: Iterable[Partition]) -> list[Offset | None]:
        """The committed offsets of several source partitions, in their order."""
        return [self.offset(each) for each in partitions]

    def all_offsets(self) -> list[tuple[Partition, Offset]]:
        """Every partition with an offset, as it was written.

        Raises:
            StoreError: the file cannot be read.
        """
        rows = self._read("SELECT key, value FROM offsets WHERE value IS NOT NULL ORDER BY key")
        return [(json.loads(key)[1], json.loads(value)) for key, value in rows]

    def write(
        self, offsets: Iterable[tuple[Partition, Offset | None]], *, task: int, generation: int
    ) -> None:
        """Commit offsets of a task, all or none.

        Args:
            offsets: partition and offset; None removes one.
            task: number of the task that writes.
            generation: number of the task's process; a greater one is newer.

        Raises:
            DataError: a partition or an offset is no flat map of plain values.
            IllegalWorkerStateError: a newer process of this task has written already.
            StoreError: the file cannot be written; nothing was.
        """
        rows = [self._row(partition, offset) for partition, offset in offsets]
        with self._database().transaction() as connection:
            for row in rows:
                if connection.execute(_WRITE, (*row, task, generation)).rowcount == 0:
                    raise IllegalWorkerStateError(
                        f"a newer process of task {self._connector}-{task} has committed offsets"
                    )

    def alter(self, offsets: Iterable[tuple[Partition, Offset | None]]) -> None:
        """Set offsets by hand; only while no task of the connector runs."""
        self.write(offsets, task=_BY_HAND, generation=0)

    def reset(self) -> None:
        """Forget every offset; only while no task of the connector runs."""
        if os.path.exists(self.path):
            with self._database().transaction() as connection:
                connection.execute("DELETE FROM offsets")

    def limit_batch(self, topic: str, size: int) -> None:
        """Remember the largest batch in bytes that a topic takes."""
        with self._database().transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO batch_limits (topic, bytes) VALUES (?, ?)", (topic, size)
            )

    def batch_limit(self) -> int | None:
        """The largest batch that every topic with a known limit takes."""
        rows = self._read("SELECT min(bytes) FROM batch_limits")
        return rows[0][0] if rows else None

    def close(self) -> None:
        """Close the file."""
        for connection in (self._writer, self._reader):
            if connection is not None:
                connection.close()
        self._writer = self._reader = None

    def _row(self, partition: Partition, offset: Offset | None) -> tuple[str, str, str | None]:
        _check(partition, "partition")
        if offset is not None:
            _check(offset, "offset")
        key = _json([self._connector, dict(partition)])
        return _canonical(partition), key, None if offset is None else _json(dict(offset))

    def _database(self) -> Database:
        if self._writer is None:
            path = Path(self.path)
            make_directory_of(path)
            self._writer = Database(path, OFFSET_MIGRATIONS, durable=False)
            if self._reader is not None:
                self._reader.close()
                self._reader = None
        return self._writer

    def _read(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        if self._writer is not None:
            return self._writer.query(sql, *arguments)
        try:
            if self._reader is None:
                if not os.path.exists(self.path):
                    return []
                uri = f"file:{quote(self.path)}?mode=ro"
                self._reader = sqlite3.connect(uri, uri=True, timeout=10.0)
            return self._reader.execute(sql, arguments).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):  # made this instant by somebody, and still empty
                return []
            raise StoreError(f"{self.path}: {error}") from error
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error


def _check(values: Mapping[str, Any], what: str) -> None:
    """Refuse what Kafka Connect's offset format cannot hold."""
    for key, value in values.items():
        if not isinstance(key, str):
            raise DataError(f"keys of a source {what} are strings, but {key!r} is not")
        if value is not None and not isinstance(value, (str, int, float, bool)):
            raise DataError(
                f"values of a source {what} are plain, but {key!r} has a {type(value).__name__}"
            )


def _canonical(partition: Partition) -> str:
    return _CANONICAL.encode(dict(partition))


def _json(value: Any) -> str:
    """JSON as Kafka Connect writes it; a file name that is not UTF-8 keeps its escapes."""
    text = _PLAIN.encode(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        return _ESCAPED.encode(value)
    return text
