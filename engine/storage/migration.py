"""Schema versions of an SQLite file: bringing an older one forward, and knowing a newer one.

``user_version`` counts the migrations that a file has seen. ``application_id`` is the least count
that an engine must know to use the file: a migration that only adds leaves it as it is, so that the
engine before an upgrade can go on with a file that the engine after it has touched.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from engine.wire.log_sequence import get_logger


class Additive(str):
    """A migration that an engine which does not know it need not mind.

    It adds tables, indexes, or columns that may be NULL or have a default, and changes nothing.
    """

    __slots__ = ()


class NewerSchemaError(Exception):
    """The file can only be used by a newer engine."""


class Schema(NamedTuple):
    """What a file says of itself.

    Attributes:
        version: how many migrations it has seen; 0 for a new file.
        reader: how many an engine must know to use it.
    """

    version: int
    reader: int


def schema_of(connection: sqlite3.Connection) -> Schema:
    """What the open file says of itself."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (reader,) = connection.execute("PRAGMA application_id").fetchone()
    return Schema(version, reader or version)


def is_usable(schema: Schema, known: int) -> bool:
    """Whether an engine that knows so many migrations can use the file."""
    return schema.reader <= known


def can_go_back(schema: Schema, migrations: Sequence[str]) -> bool:
    """Whether an engine that knows the file as it is could use it after these migrations."""
    pending = migrations[schema.version :]
    return schema.version == 0 or all(isinstance(each, Additive) for each in pending)


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    """Bring the file to the newest schema; one that has rows is copied before.

    Raises:
        NewerSchemaError: a newer engine has changed it so that this one cannot use it.
        sqlite3.Error: nothing was changed.
    """
    known = len(migrations)
    schema = schema_of(connection)
    if not is_usable(schema, known):
        raise NewerSchemaError(
            f"{path} was written by a newer engine: its schema version is {schema.reader}, this"
            f" engine knows {known}; use that engine again, or another data directory"
        )
    if schema.version >= known:
        return
    with _transaction(connection):
        before = schema_of(connection)  # somebody else may have been first
        if before.version >= known:
            return
        copy = _copy(path, before.version) if before.version else None
        reader = before.reader
        for number in range(before.version, known):
            _execute(connection, migrations[number])
            if number == 0 or not isinstance(migrations[number], Additive):
                reader = number + 1
        connection.execute(f"PRAGMA user_version = {known}")
        connection.execute(f"PRAGMA application_id = {reader}")
    if copy is not None:
        get_logger(__name__).warning(
            "a database was migrated", file=str(path), schema_before=before.version, schema=known,
            copy=str(copy), way_back="stop the engine and put the copy in the file's place",
        )  # fmt: skip


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _execute(connection: sqlite3.Connection, script: str) -> None:
    """All statements, within the open transaction: ``executescript`` would commit it first."""
    statement = ""
    for part in f"{script};".split(";")[:-1]:
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""


def _copy(path: Path, version: int) -> Path:
    """The file as it was last committed, beside it; nobody may write meanwhile."""
    copy, draft = Path(f"{path}.v{version}"), Path(f"{path}.v{version}.new")
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with (
        contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as source,
        contextlib.closing(sqlite3.connect(draft)) as target,
    ):
        source.backup(target)
    draft.replace(copy)
    return copy
