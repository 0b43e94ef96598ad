"""Configurations, target states and plans of connectors (upstream: ``ConfigBackingStore``)."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from engine.model.herder_config import HistoryConfig
from engine.model.state import TargetState
from engine.storage.database import Database, StoreError
from engine.storage.herder_database import HERDER_MIGRATIONS

_JSON = msgspec.json.Encoder()


class StoredPlan(msgspec.Struct, frozen=True):
    """What planning made of a configuration.

    Attributes:
        type: ``source`` or ``sink``.
        version: the connector's own version.
        class_name: the connector's class as REST shows it.
        connector_config: the configuration that was planned; an older one while planning fails.
    """

    type: str
    version: str | None
    class_name: str
    connector_config: dict[str, str] = {}
    task_configs: tuple[dict[str, str], ...] = ()


class StoredConnector(msgspec.Struct, frozen=True):
    """A connector as it is wanted.

    Attributes:
        origin: ``rest``, or ``file`` for one of the command line.
        version: number of the configuration; grows with every change, also over deletions.
        plan: None while the connector was never planned.
    """

    name: str
    config: Mapping[str, str]
    target_state: TargetState
    origin: str = "rest"
    version: int = 0
    plan: StoredPlan | None = None


class ConfigStore(Protocol):
    """What a herder needs; every method has happened for good when it returns."""

    def connectors(self) -> list[StoredConnector]:
        """All of them, in alphabetical order."""

    def put(self, connector: StoredConnector) -> StoredConnector:
        """Create or replace one with its plan; the answer carries its version."""

    def put_target_state(self, name: str, state: TargetState) -> None:
        """What is wanted of it from now on; STOPPED also forgets its task configurations."""

    def put_plan(self, name: str, plan: StoredPlan) -> None:
        """What planning made of the present configuration."""

    def delete(self, names: Iterable[str]) -> None:
        """Forget these; their histories stay."""

    def fact(self, name: str) -> str | None:
        """A single value that was put."""

    def put_fact(self, name: str, value: str) -> None:
        """Keep a single value."""


class SqliteConfigStore:
    """:class:`ConfigStore` in the herder's SQLite file.

    Args:
        path: the file.
        bounds: of the histories.
    """

    def __init__(self, path: Path, bounds: HistoryConfig | None = None) -> None:
        self._bounds = bounds or HistoryConfig()
        self._database = Database(path, HERDER_MIGRATIONS)
        self._forget_old()

    def _forget_old(self) -> None:
        """Versions that are too old and not in use; at each start, which is often enough."""
        if self._bounds.history_retention < 0:
            return
        with self._database.transaction() as sql:
            sql.execute(
                "DELETE FROM config_history"
                " WHERE changed_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?)"
                " AND NOT EXISTS (SELECT 1 FROM connector"
                " WHERE connector.name = config_history.name"
                " AND connector.version = config_history.version)",
                (f"-{self._bounds.history_retention:.0f} seconds",),
            )

    def connectors(self) -> list[StoredConnector]:
        """See the protocol."""
        rows = self._database.query(
            "SELECT name, config, target_state, origin, version, plan"
            " FROM connector LEFT JOIN plan USING (name) ORDER BY name"
        )
        try:
            return [_connector(row) for row in rows]
        except (msgspec.MsgspecError, ValueError) as error:
            raise StoreError(f"{self._database.path}: unreadable connector: {error}") from error

    def put(self, connector: StoredConnector) -> StoredConnector:
        """See the protocol."""
        config = _JSON.encode(connector.config).decode()
        with self._database.transaction() as sql:
            (last,) = sql.execute(
                "SELECT coalesce(max(version), 0) FROM config_history WHERE name = ?",
                (connector.name,),
            ).fetchone()
            present = sql.execute(
                "SELECT config, version FROM connector WHERE name = ?", (connector.name,)
            ).fetchone()
            is_same = present is not None and present[0] == config
            version = present[1] if is_same else last + 1
            if not is_same:
                sql.execute(
                    "INSERT INTO config_history (name, version, config) VALUES (?, ?, ?)",
                    (connector.name, version, config),
                )
                sql.execute(
                    "DELETE FROM config_history WHERE name = ? AND version <= ?",
                    (connector.name, version - self._bounds.history_versions),
                )
            sql.execute(
                "INSERT INTO connector (name, config, target_state, origin, version)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
                " config = excluded.config, target_state = excluded.target_state,"
                " origin = excluded.origin, version = excluded.version",
                (connector.name, config, connector.target_state, connector.origin, version),
            )
            sql.execute("DELETE FROM plan WHERE name = ?", (connector.name,))
            if connector.plan is not None:
                sql.execute(
                    "INSERT INTO plan (name, plan) VALUES (?, ?)",
                    (connector.name, _text(connector.plan)),
                )
        return StoredConnector(
            connector.name, connector.config, connector.target_state, connector.origin, version,
            connector.plan,
        )  # fmt: skip

    def put_target_state(self, name: str, state: TargetState) -> None:
        """See the protocol."""
        with self._database.transaction() as sql:
            sql.execute("UPDATE connector SET target_state = ? WHERE name = ?", (state, name))
            if state is TargetState.STOPPED:
                sql.execute(
                    "UPDATE plan SET plan = json_set(plan, '$.task_configs', json('[]'))"
                    " WHERE name = ?",
                    (name,),
                )

    def put_plan(self, name: str, plan: StoredPlan) -> None:
        """See the protocol."""
        with self._database.transaction() as sql:
            sql.execute("REPLACE INTO plan (name, plan) VALUES (?, ?)", (name, _text(plan)))

    def delete(self, names: Iterable[str]) -> None:
        """See the protocol."""
        with self._database.transaction() as sql:
            for name in names:
                sql.execute(
                    "INSERT INTO config_history (name, version, config)"
                    " SELECT name, max(version) + 1, NULL FROM config_history WHERE name = ?",
                    (name,),
                )
                sql.execute("DELETE FROM connector WHERE name = ?", (name,))

    def history(self, name: str) -> list[tuple[int, Mapping[str, str] | None]]:
        """Every version of a connector's configuration, oldest first; None: it was deleted."""
        rows = self._database.query(
            "SELECT version, config FROM config_history WHERE name = ? ORDER BY version", name
        )
        return [(v, None if c is None else msgspec.json.decode(c)) for v, c in rows]

    def fact(self, name: str) -> str | None:
        """See the protocol."""
        rows = self._database.query("SELECT value FROM fact WHERE name = ?", name)
        return rows[0][0] if rows else None

    def put_fact(self, name: str, value: str) -> None:
        """See the protocol."""
        with self._database.transaction() as sql:
            sql.execute("REPLACE INTO fact (name, value) VALUES (?, ?)", (name, value))

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _connector(row: tuple[str, str, str, str, int, str | None]) -> StoredConnector:
    name, config, target_state, origin, version, plan = row
    return StoredConnector(
        name=name,
        config=msgspec.json.decode(config, type=dict[str, str]),
        target_state=TargetState(target_state),
        origin=origin,
        version=version,
        plan=None if plan is None else msgspec.json.decode(plan, type=StoredPlan),
    )


def _text(value: msgspec.Struct) -> str:
    return _JSON.encode(value).decode()
