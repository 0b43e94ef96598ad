"""Connectors in the herder's file: as they are wanted, and every version they ever had."""

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.model.herder_config import HistoryConfig
from engine.model.state import State, TargetState
from engine.model.task_id import TaskId
from engine.storage.config_store import (
    SqliteConfigStore,
    StoredConnector,
    StoredPlan,
)
from engine.storage.database import Database, StoreError
from engine.storage.herder_database import HERDER_MIGRATIONS
from engine.storage.status_store import SqliteStatusStore
from engine.wire.herder_message import TaskEvent, TaskReport

PLAN = StoredPlan("source", "1.0", "a.B", {"k": "v"}, ({"n": "0"}, {"n": "1"}))


def wanted(name: str = "c", **config: str) -> StoredConnector:
    return StoredConnector(name, {"k": "v", **config}, TargetState.STARTED, "rest", 0, PLAN)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteConfigStore]:
    made = SqliteConfigStore(tmp_path / "herder.db")
    yield made
    made.close()


@pytest.fixture
def statuses(tmp_path: Path) -> Iterator[SqliteStatusStore]:
    made = SqliteStatusStore(tmp_path / "herder.db")
    yield made
    made.close()


def test_what_was_put_is_there_after_opening_again(
    store: SqliteConfigStore, tmp_path: Path
) -> None:
    put = [store.put(wanted(name)) for name in ("b", "a", "ü/%")]
    again = SqliteConfigStore(tmp_path / "herder.db")
    assert again.connectors() == sorted(put, key=lambda c: c.name)
    again.close()


def test_histories_are_bounded_by_number_and_by_age_and_what_is_in_use_stays(
    tmp_path: Path,
) -> None:
    path = tmp_path / "herder.db"
    store = SqliteConfigStore(path, HistoryConfig(history_versions=3))
    for number in range(10):
        store.put(wanted(k=str(number)))
    store.put(wanted("gone"))
    store.delete(["gone"])
    assert [version for version, _ in store.history("c")] == [8, 9, 10]
    store.close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE config_history SET changed_at = '2020-01-01T00:00:00.000Z'")
        database.commit()
    for_ever = SqliteConfigStore(path, HistoryConfig(history_versions=3, history_retention=-1))
    assert len(for_ever.history("c") + for_ever.history("gone")) == 5
    for_ever.close()
    store = SqliteConfigStore(path, HistoryConfig(history_versions=3, history_retention=86400.0))
    assert store.history("c") == [(10, {"k": "9"})]
    assert store.history("gone") == []
    assert store.put(wanted(k="new")).version == 11
    store.close()


def test_every_change_has_a_version_and_an_equal_configuration_has_none(
    store: SqliteConfigStore,
) -> None:
    assert store.put(wanted()).version == 1
    assert store.put(wanted()).version == 1
    assert store.put(wanted(k="w")).version == 2
    store.delete(["c"])
    assert store.connectors() == []
    assert store.put(wanted()).version == 4
    assert store.history("c") == [(1, {"k": "v"}), (2, {"k": "w"}), (3, None), (4, {"k": "v"})]


def test_a_stopped_connector_has_no_task_configurations(store: SqliteConfigStore) -> None:
    store.put(wanted())
    store.put_target_state("c", TargetState.PAUSED)
    (paused,) = store.connectors()
    assert paused.target_state is TargetState.PAUSED
    assert paused.plan == PLAN
    store.put_target_state("c", TargetState.STOPPED)
    (stopped,) = store.connectors()
    assert stopped.plan == StoredPlan("source", "1.0", "a.B", {"k": "v"}, ())


def test_a_plan_can_be_put_by_itself(store: SqliteConfigStore) -> None:
    store.put(replace(wanted(), plan=None))
    store.put_plan("c", PLAN)
    assert store.connectors()[0].plan == PLAN
    with pytest.raises(StoreError):
        store.put_plan("nobody", PLAN)


def test_facts_are_kept(store: SqliteConfigStore) -> None:
    assert store.fact("epoch") is None
    store.put_fact("epoch", "1")
    store.put_fact("epoch", "2")
    assert store.fact("epoch") == "2"


def test_what_was_put_survives_a_kill_at_that_instant(tmp_path: Path) -> None:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            store = SqliteConfigStore(tmp_path / "herder.db")
            for n in range(10_000):
                store.put(wanted(k=str(n)))
                os.write(write, n.to_bytes(4, "big"))
        finally:
            os._exit(1)
    os.close(write)
    told = b""
    while len(told) < 4 * 50:
        told += os.read(read, 4 * 50 - len(told))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    while more := os.read(read, 4096):
        told += more
    os.close(read)
    last = int.from_bytes(told[-4:], "big")
    store = SqliteConfigStore(tmp_path / "herder.db")
    (found,) = store.connectors()
    assert int(found.config["k"]) in (last, last + 1)
    store.close()


def test_states_and_reports_are_kept_until_their_connector_is_gone(
    store: SqliteConfigStore, statuses: SqliteStatusStore
) -> None:
    store.put(wanted())
    statuses.put_connector_state("c", State.FAILED, "trace")
    statuses.put_connector_state("nobody", State.RUNNING, None)
    assert statuses.connector_states() == {"c": (State.FAILED, "trace")}
    report = TaskReport("c", 0, 3, "FAILED", "hash", trace="Why: because", restarts={"crash": 2})
    statuses.put_events([TaskEvent(1, "failed", 5, report)])
    assert statuses.reports() == {TaskId("c", 0): report}
    store.delete(["c"])
    assert statuses.connector_states() == {}
    statuses.forget("c")
    assert statuses.reports() == {}


def test_a_task_that_is_gone_is_forgotten(statuses: SqliteStatusStore) -> None:
    report = TaskReport("c", 0, 3, "RUNNING", "hash")
    statuses.put_events([TaskEvent(1, "running", 5, report), TaskEvent(2, "gone", 6, report)])
    assert statuses.reports() == {}


def test_statuses_that_nobody_understands_are_left_out(
    store: SqliteConfigStore, statuses: SqliteStatusStore, tmp_path: Path
) -> None:
    store.put(wanted())
    database = Database(tmp_path / "herder.db", HERDER_MIGRATIONS)
    with database.transaction() as sql:
        sql.execute("INSERT INTO connector_status VALUES ('c', 'DANCING', NULL)")
        sql.execute("INSERT INTO task_status VALUES ('c', 0, 1, '[]')")
    database.close()
    assert statuses.connector_states() == {}
    assert statuses.reports() == {}


def test_a_configuration_that_nobody_understands_is_no_silent_loss(
    store: SqliteConfigStore, tmp_path: Path
) -> None:
    store.put(wanted())
    database = Database(tmp_path / "herder.db", HERDER_MIGRATIONS)
    with database.transaction() as sql:
        sql.execute("UPDATE connector SET config = '[1'")
    database.close()
    with pytest.raises(StoreError, match="unreadable connector"):
        store.connectors()
