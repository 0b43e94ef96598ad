"""The schema of ``herder.db``; only new migrations are ever appended."""

from typing import Final

HERDER_MIGRATIONS: Final = (
    """
    CREATE TABLE connector (
        name TEXT PRIMARY KEY,
        config TEXT NOT NULL,
        target_state TEXT NOT NULL,
        origin TEXT NOT NULL,
        version INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE config_history (
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        config TEXT,
        changed_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
        PRIMARY KEY (name, version)
    ) WITHOUT ROWID;
    CREATE TABLE plan (
        name TEXT PRIMARY KEY REFERENCES connector (name) ON DELETE CASCADE,
        plan TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE connector_status (
        name TEXT PRIMARY KEY REFERENCES connector (name) ON DELETE CASCADE,
        state TEXT NOT NULL,
        trace TEXT
    ) WITHOUT ROWID;
    CREATE TABLE task_status (
        connector TEXT NOT NULL,
        task INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        report TEXT NOT NULL,
        PRIMARY KEY (connector, task)
    ) WITHOUT ROWID;
    CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID
    """,
)
"""Tables: connectors as they are wanted, every version their configurations ever had (None: it was
deleted), what planning made of them, last known statuses, and single facts by name."""
