"""Opening a file, migrating it, and what is said when it cannot be used."""

import sqlite3
import threading
from pathlib import Path

import pytest

from engine.storage.database import Database, StoreError
from engine.storage.migration import Additive, Schema, can_go_back

FIRST = "CREATE TABLE a (x INTEGER)"
SECOND = "ALTER TABLE a ADD COLUMN y INTEGER DEFAULT 7"


def test_an_older_file_is_migrated_forward_and_keeps_its_rows(tmp_path: Path) -> None:
    old = Database(tmp_path / "f.db", [FIRST])
    with old.transaction() as sql:
        sql.execute("INSERT INTO a VALUES (1)")
    old.close()
    new = Database(tmp_path / "f.db", [FIRST, SECOND])
    assert new.query("SELECT x, y FROM a") == [(1, 7)]
    new.close()


def test_the_file_before_a_migration_is_kept_and_is_the_way_back(tmp_path: Path) -> None:
    path = tmp_path / "f.db"
    old = Database(path, [FIRST])
    with old.transaction() as sql:
        sql.execute("INSERT INTO a VALUES (1)")
    old.close()
    assert [each.name for each in tmp_path.iterdir()] == ["f.db"]
    new = Database(path, [FIRST, SECOND])
    with new.transaction() as sql:
        sql.execute("INSERT INTO a VALUES (2, 2)")
    new.close()
    copy = tmp_path / "f.db.v1"
    assert copy.stat().st_mode & 0o077 == 0
    with pytest.raises(StoreError, match="newer engine"):
        Database(path, [FIRST])
    copy.replace(path)
    back = Database(path, [FIRST])
    assert back.query("SELECT * FROM a") == [(1,)]
    back.close()


def test_an_older_engine_goes_on_with_a_file_that_was_only_added_to(tmp_path: Path) -> None:
    path = tmp_path / "f.db"
    Database(path, [FIRST, Additive(SECOND), Additive("CREATE TABLE b (z)")]).close()
    old = Database(path, [FIRST])
    with old.transaction() as sql:
        sql.execute("INSERT INTO a (x) VALUES (1)")
    old.close()
    new = Database(path, [FIRST, Additive(SECOND), Additive("CREATE TABLE b (z)")])
    assert new.query("SELECT x, y FROM a") == [(1, 7)]
    new.close()
    Database(
        path, [FIRST, Additive(SECOND), Additive("CREATE TABLE b (z)"), "DROP TABLE b"]
    ).close()
    with pytest.raises(StoreError, match=r"schema version is 4, this engine knows 3"):
        Database(path, [FIRST, Additive(SECOND), Additive("CREATE TABLE b (z)")])


def test_going_back_is_possible_when_all_that_is_pending_only_adds() -> None:
    migrations = [FIRST, Additive(SECOND), "DROP TABLE a"]
    assert can_go_back(Schema(0, 0), migrations)
    assert can_go_back(Schema(1, 1), migrations[:2])
    assert not can_go_back(Schema(1, 1), migrations)
    assert can_go_back(Schema(3, 3), migrations)


def test_two_that_migrate_at_once_do_it_once(tmp_path: Path) -> None:
    path = tmp_path / "f.db"
    Database(path, [FIRST]).close()
    fill = [FIRST, "CREATE TABLE once (n); INSERT INTO once VALUES (1); INSERT INTO a VALUES (3)"]
    ready, made = threading.Barrier(4), []

    def open_it() -> None:
        ready.wait()
        Database(path, fill).close()
        made.append(1)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database = Database(path, fill)
    assert len(made) == 4
    assert database.query("SELECT n FROM once") == [(1,)]
    assert database.query("SELECT x FROM a") == [(3,)]
    database.close()


def test_a_newer_file_is_refused_with_both_versions(tmp_path: Path) -> None:
    Database(tmp_path / "f.db", [FIRST, SECOND]).close()
    with pytest.raises(StoreError, match=r"newer engine: its schema version is 2, .* knows 1"):
        Database(tmp_path / "f.db", [FIRST])


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such table"):
        Database(tmp_path / "f.db", [FIRST, "INSERT INTO nowhere VALUES (1)"])
    database = Database(tmp_path / "f.db", [FIRST, SECOND])
    assert database.query("SELECT * FROM a") == []
    database.close()


def test_a_transaction_happens_whole_or_not_at_all(tmp_path: Path) -> None:
    database = Database(tmp_path / "f.db", [FIRST])
    with pytest.raises(StoreError), database.transaction() as sql:  # noqa: PT012 (the point)
        sql.execute("INSERT INTO a VALUES (1)")
        sql.execute("INSERT INTO nowhere VALUES (1)")
    assert database.query("SELECT * FROM a") == []
    with database.transaction() as sql:
        sql.execute("INSERT INTO a VALUES (2)")
    assert database.query("SELECT * FROM a") == [(2,)]
    database.close()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "f.db"
    path.write_bytes(b"hello" * 1000)
    with pytest.raises(StoreError, match=f"{path}: this is not an SQLite database"):
        Database(path, [FIRST])


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "f.db"
    database = Database(path, [FIRST])
    with database.transaction() as sql:
        sql.executemany("INSERT INTO a VALUES (?)", [(n,) for n in range(10_000)])
    database.close()
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    damaged = Database(path, [FIRST])
    with pytest.raises(StoreError, match="the database is damaged"):
        damaged.query("SELECT * FROM a")
    damaged.close()


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="the file cannot be made: No such file or directory"):
        Database(tmp_path / "nowhere" / "f.db", [FIRST])


def test_nobody_else_can_read_what_is_stored(tmp_path: Path) -> None:
    database = Database(tmp_path / "f.db", [FIRST])
    with database.transaction() as sql:
        sql.execute("INSERT INTO a VALUES (1)")
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}
    database.close()


def test_a_full_disk_loses_nothing_that_was_stored(tmp_path: Path) -> None:
    database = Database(tmp_path / "f.db", [FIRST])
    with database.transaction() as sql:
        sql.execute("INSERT INTO a VALUES (1)")
        sql.execute("PRAGMA max_page_count")
    with database.transaction() as sql:
        (pages,) = sql.execute("PRAGMA page_count").fetchone()
        sql.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="the disk is full"), database.transaction() as sql:
        sql.executemany("INSERT INTO a VALUES (?)", [(n,) for n in range(10_000)])
    assert database.query("SELECT * FROM a") == [(1,)]
    database.close()


def test_a_writer_that_waits_too_long_says_so(tmp_path: Path) -> None:
    Database(tmp_path / "f.db", [FIRST]).close()
    other = sqlite3.connect(tmp_path / "f.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    database = Database(tmp_path / "f.db", [FIRST], patience=0.05)
    with pytest.raises(StoreError, match="another process holds"), database.transaction():
        pass
    database.close()
    other.close()
