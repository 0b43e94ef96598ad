"""Every SQLite file of a data directory, and which migrations this engine knows for it."""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from engine.storage.dead_letter_store import DEAD_LETTER_MIGRATIONS
from engine.storage.herder_database import HERDER_MIGRATIONS
from engine.storage.letter_notes import NOTE_MIGRATIONS
from engine.storage.migration import can_go_back, is_usable, schema_of
from engine.storage.offset_store import OFFSET_MIGRATIONS

_MIGRATIONS: Final = (
    ("herder.db", HERDER_MIGRATIONS),
    ("offsets/*.db", OFFSET_MIGRATIONS),
    ("dead-letters/*.db", DEAD_LETTER_MIGRATIONS),
    ("dead-letter-notes/*.db", NOTE_MIGRATIONS),
)


class StateFile(NamedTuple):
    """One of them; ``migrations`` are those that this engine knows."""

    path: Path
    migrations: Sequence[str]


def databases(data_dir: Path) -> Iterator[StateFile]:
    """Those that are there."""
    for pattern, migrations in _MIGRATIONS:
        for path in sorted(data_dir.glob(pattern)):
            yield StateFile(path, migrations)


def newer(data_dir: Path) -> list[str]:
    """What only a newer engine can use, in sentences."""
    found = []
    for file in databases(data_dir):
        with _opened(file.path) as connection:
            schema = schema_of(connection)
        if not is_usable(schema, len(file.migrations)):
            found.append(
                f"{file.path} has schema version {schema.reader}, this engine knows"
                f" {len(file.migrations)}"
            )
    return found


def without_way_back(data_dir: Path) -> list[str]:
    """What the engine that used it last could not use after this one has opened it."""
    found = []
    for file in databases(data_dir):
        with _opened(file.path) as connection:
            if not can_go_back(schema_of(connection), file.migrations):
                found.append(str(file.path))
    return found


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    uri = f"file:{quote(str(path))}?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=10.0)) as connection:
        yield connection
