"""One SQLite file: opening, migrating forward, and errors that say what to do."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from engine.api.errors import ConnectError
from engine.model.task_id import file_stem
from engine.storage.migration import NewerSchemaError, migrate


class StoreError(ConnectError):
    """A store cannot be read or written; the message names the file and the reason."""


class Database:
    """A connection to one file, for one thread.

    Args:
        path: the file; made when it does not exist.
        migrations: one script per schema version, in order; only new ones are ever appended, those
            that only add as :class:`engine.storage.migration.Additive`.
        durable: whether a finished transaction survives a power failure, too. A killed process
            never loses one.
        patience: seconds to wait for another writer.
    """

    def __init__(
        self,
        path: Path,
        migrations: Sequence[str],
        *,
        durable: bool = True,
        patience: float = 10.0,
    ) -> None:
        self.path = path
        _make_private(path)
        with self._errors():
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=patience)
            try:
                self._prepare(migrations, durable=durable)
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self, migrations: Sequence[str], *, durable: bool) -> None:
        execute = self._connection.execute
        execute("PRAGMA journal_mode = WAL")
        execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        execute("PRAGMA foreign_keys = ON")
        try:
            migrate(self._connection, self.path, migrations)
        except NewerSchemaError as error:
            raise StoreError(str(error)) from error
        except OSError as error:
            raise StoreError(f"{self.path}: it cannot be copied: {error.strerror}") from error

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing.

        Raises:
            StoreError: nothing was written.
        """
        with self._errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def query(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """All rows."""
        with self._errors():
            return self._connection.execute(sql, arguments).fetchall()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {_explained(error)}") from error


class DatabaseFile:
    """A database that the first write makes, directory and all; before that, nothing is found.

    Args:
        path: the file.
        migrations: see :class:`Database`.
    """

    def __init__(self, path: Path, migrations: Sequence[str]) -> None:
        self.path = path
        self._migrations = migrations
        self._opened: Database | None = None

    def exists(self) -> bool:
        """Whether anything was ever written."""
        return self.path.exists()

    def query(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """All rows."""
        return self._database().query(sql, *arguments) if self.exists() else []

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """All or nothing.

        Raises:
            StoreError: nothing was written.
        """
        return self._database().transaction()

    def close(self) -> None:
        """Close the file."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _database(self) -> Database:
        if self._opened is None:
            make_directory_of(self.path)
            self._opened = Database(self.path, self._migrations)
        return self._opened


def connector_file(data_dir: Path, folder: str, connector: str) -> Path:
    """``<data_dir>/<folder>/<connector>.db``, whatever the connector is called."""
    return Path(connector_file_name(data_dir, folder, connector))


def connector_file_name(data_dir: Path | str, folder: str, connector: str) -> str:
    """The same as a text: path objects cost a task's start more than the rest of it."""
    return f"{data_dir}/{folder}/{file_stem(connector)}.db"


def make_directory_of(path: Path) -> None:
    """Make the directory that a file is to be in.

    Raises:
        StoreError: it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error


def _make_private(path: Path) -> None:
    """Make the file before SQLite does, which would let everybody read it.

    A file that exists is left alone: closing it would drop the locks of other connections.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise StoreError(f"{path}: the file cannot be made: {error.strerror}") from error


_EXPLANATIONS = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_NOTADB: "this is not an SQLite database; move the file away to start anew",
    sqlite3.SQLITE_CORRUPT: "the database is damaged; restore a copy or move the file away",
    sqlite3.SQLITE_READONLY: "the file or its directory is read-only",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened; is its directory there and writable?",
    sqlite3.SQLITE_BUSY: "another process holds the database",
    sqlite3.SQLITE_IOERR: "reading or writing failed",
}


def _explained(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", None)
    known = _EXPLANATIONS.get(code & 0xFF) if isinstance(code, int) else None
    return f"{known} ({error})" if known else str(error)
