"""Last known states of connectors and tasks (upstream: ``StatusBackingStore``)."""

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Protocol

import msgspec

from engine.model.state import State
from engine.model.task_id import TaskId
from engine.storage.database import Database
from engine.storage.herder_database import HERDER_MIGRATIONS
from engine.wire.herder_message import TaskEvent, TaskReport

_JSON = msgspec.json.Encoder()
_STATES: Final = frozenset(State)


class StatusStore(Protocol):
    """What a herder needs; a killed process loses nothing that was put."""

    def connector_states(self) -> Mapping[str, tuple[State, str | None]]:
        """State and trace by connector."""

    def put_connector_state(self, name: str, state: State, trace: str | None) -> None:
        """Remember a connector's state."""

    def reports(self) -> Mapping[TaskId, TaskReport]:
        """The newest report of every task."""

    def put_events(self, events: Iterable[TaskEvent]) -> None:
        """Remember what the events report, all or none; ``gone`` makes a task forgotten."""

    def forget(self, name: str) -> None:
        """Forget the connector's tasks."""


class SqliteStatusStore:
    """:class:`StatusStore` in the herder's SQLite file.

    A power failure may take the last statuses along; so it does the processes they speak of.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, HERDER_MIGRATIONS, durable=False)

    def connector_states(self) -> Mapping[str, tuple[State, str | None]]:
        """See the protocol."""
        rows = self._database.query("SELECT name, state, trace FROM connector_status")
        return {name: (State(state), trace) for name, state, trace in rows if state in _STATES}

    def put_connector_state(self, name: str, state: State, trace: str | None) -> None:
        """See the protocol; nothing happens for a connector that is gone."""
        with self._database.transaction() as sql:
            sql.execute(
                "REPLACE INTO connector_status (name, state, trace)"
                " SELECT name, ?, ? FROM connector WHERE name = ?",
                (state, trace, name),
            )

    def reports(self) -> Mapping[TaskId, TaskReport]:
        """See the protocol."""
        rows = self._database.query("SELECT connector, task, report FROM task_status")
        found = {}
        for connector, task, report in rows:
            with contextlib.suppress(msgspec.MsgspecError):  # a status is no reason not to start
                found[TaskId(connector, task)] = msgspec.json.decode(report, type=TaskReport)
        return found

    def put_events(self, events: Iterable[TaskEvent]) -> None:
        """See the protocol."""
        with self._database.transaction() as sql:
            for event in events:
                report = event.report
                if event.event == "gone":
                    sql.execute(
                        "DELETE FROM task_status WHERE connector = ? AND task = ?",
                        (report.connector, report.task),
                    )
                    continue
                sql.execute(
                    "REPLACE INTO task_status (connector, task, seq, report) VALUES (?, ?, ?, ?)",
                    (report.connector, report.task, event.seq, _JSON.encode(report).decode()),
                )

    def forget(self, name: str) -> None:
        """See the protocol."""
        with self._database.transaction() as sql:
            sql.execute("DELETE FROM task_status WHERE connector = ?", (name,))

    def close(self) -> None:
        """Close the file."""
        self._database.close()
