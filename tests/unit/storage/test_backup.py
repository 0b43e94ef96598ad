"""Copies of a worker's state: whole, of one moment, and put back only when they can be used."""

import io
import os
import sqlite3
import tarfile
import threading
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from engine.model.state import TargetState
from engine.storage.backup import BackupError, back_up, read_manifest, restore
from engine.storage.config_store import SqliteConfigStore, StoredConnector
from engine.storage.offset_store import OffsetStore
from engine.storage.schemas import newer, without_way_back


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A worker's state: a connector with offsets, and files that people can read."""
    made = tmp_path / "data"
    for name in ("journal", "deaths", "logs", "tasks", "offsets"):
        (made / name).mkdir(parents=True)
    (made / "epoch").write_text("7\n")
    (made / "format").write_text("1\n")
    (made / "journal" / "events.jsonl").write_text('{"event":"x"}\n')
    (made / "logs" / "c-0.log").write_text("not in it\n")
    (made / "lock").write_text("1\n")
    fill(made)
    return made


def fill(data_dir: Path, value: str = "v", position: int = 5) -> None:
    store = SqliteConfigStore(data_dir / "herder.db")
    store.put(StoredConnector("c", {"k": value}, TargetState.STARTED, "rest"))
    store.close()
    offsets = OffsetStore(data_dir, "c")
    offsets.write([({"file": "f"}, {"position": position})], task=0, generation=1)
    offsets.close()


def content(data_dir: Path) -> tuple[dict[str, str], object]:
    store = SqliteConfigStore(data_dir / "herder.db")
    offsets = OffsetStore(data_dir, "c")
    found = {c.name: c.config["k"] for c in store.connectors()}, offsets.offset({"file": "f"})
    store.close()
    offsets.close()
    return found


def test_what_was_backed_up_can_be_put_back(data_dir: Path, tmp_path: Path) -> None:
    made = back_up(data_dir, tmp_path / "b.tar.gz")
    assert {file.name for file in made.files} == {
        "herder.db", "offsets/c.db", "epoch", "format", "journal/events.jsonl",
    }  # fmt: skip
    assert (tmp_path / "b.tar.gz").stat().st_mode & 0o077 == 0
    assert read_manifest(tmp_path / "b.tar.gz") == made
    fill(data_dir, "changed", 99)
    (data_dir / "epoch").write_text("12\n")

    restored, aside = restore(tmp_path / "b.tar.gz", data_dir)

    assert restored == made
    assert content(data_dir) == ({"c": "v"}, {"position": 5})
    assert (data_dir / "epoch").read_text() == "12\n"  # a run's number is never given out twice
    assert (data_dir / "logs" / "c-0.log").exists()
    assert aside is not None
    assert content(aside) == ({"c": "changed"}, {"position": 99})
    assert [p.name for p in data_dir.iterdir() if p.name.startswith(".")] == []


def test_a_backup_can_be_put_onto_a_machine_that_has_nothing(
    data_dir: Path, tmp_path: Path
) -> None:
    back_up(data_dir, tmp_path / "b.tar.gz")
    other = tmp_path / "other"
    other.mkdir()
    _, aside = restore(tmp_path / "b.tar.gz", other)
    assert aside is None
    assert content(other) == ({"c": "v"}, {"position": 5})
    assert (other / "epoch").read_text() == "7\n"


def test_a_backup_beside_writers_is_of_one_moment(data_dir: Path, tmp_path: Path) -> None:
    """Each transaction writes two rows that belong together."""
    is_over, written = threading.Event(), []

    def write() -> None:
        offsets = OffsetStore(data_dir, "busy")
        number = 0
        while not is_over.is_set():
            number += 1
            pair = [({"file": name}, {"position": number}) for name in ("a", "b")]
            offsets.write(pair, task=0, generation=1)
            written.append(number)
        offsets.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while not written:
            pass
        for number in range(5):
            back_up(data_dir, tmp_path / f"{number}.tar.gz")
    finally:
        is_over.set()
        writer.join()
    for number in range(5):
        other = tmp_path / f"other-{number}"
        other.mkdir()
        restore(tmp_path / f"{number}.tar.gz", other)
        found = OffsetStore(other, "busy")
        first, second = found.offset({"file": "a"}), found.offset({"file": "b"})
        found.close()
        assert first == second
        assert first is not None


def test_nothing_is_written_over_and_nothing_is_left_of_a_backup_that_failed(
    data_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "b.tar.gz").write_text("mine")
    with pytest.raises(BackupError, match=r"b\.tar\.gz: File exists"):
        back_up(data_dir, tmp_path / "b.tar.gz")
    assert (tmp_path / "b.tar.gz").read_text() == "mine"
    (data_dir / "offsets" / "broken.db").write_bytes(b"x" * 5000)
    with pytest.raises(BackupError, match=r"broken\.db: file is not a database"):
        back_up(data_dir, tmp_path / "c.tar.gz")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.tar.gz", "data"]
    with pytest.raises(BackupError, match="holds no state"):
        back_up(tmp_path, tmp_path / "c.tar.gz")


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_a_backup_that_is_not_whole_changes_nothing(data_dir: Path, tmp_path: Path) -> None:
    good = tmp_path / "good.tar.gz"
    back_up(data_dir, good)
    fill(data_dir, "present", 50)
    bad = {
        "is damaged: offsets/c.db": packed(
            tmp_path / "1", {**unpacked(good), "offsets/c.db": b"x"}
        ),
        "epoch is missing": packed(tmp_path / "2", without(good, "epoch")),
        "which its manifest does not name": packed(
            tmp_path / "3", {**unpacked(good), "../evil": b"x"}
        ),
        "is no backup": packed(tmp_path / "4", {"some": b"thing"}),
        "its manifest cannot be read": packed(tmp_path / "5", {"manifest.json": b"{}"}),
        "in format 99": packed(
            tmp_path / "6", {"manifest.json": b'{"format": 99, "engine": "9"}'}
        ),
    }  # fmt: skip
    cut = tmp_path / "7"
    cut.write_bytes(good.read_bytes()[:-200])
    text = tmp_path / "8"
    text.write_text("hello")
    for problem, path in {**bad, "(?i)cut off|ended|damaged": cut, "is no backup of": text}.items():
        with pytest.raises(BackupError, match=problem):
            restore(path, data_dir)
        assert content(data_dir) == ({"c": "present"}, {"position": 50})
        assert not list(data_dir.glob(".restore*"))
    assert not (tmp_path / "evil").exists()


def unpacked(backup: Path) -> dict[str, bytes]:
    with tarfile.open(backup) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]


def without(backup: Path, name: str) -> dict[str, bytes]:
    return {key: data for key, data in unpacked(backup).items() if key != name}


def test_a_backup_of_a_newer_engine_is_refused(data_dir: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(data_dir / "offsets" / "c.db")) as database:
        database.execute("PRAGMA user_version = 99")
        database.execute("PRAGMA application_id = 99")
        database.commit()
    assert newer(data_dir) == [
        f"{data_dir}/offsets/c.db has schema version 99, this engine knows 1"
    ]
    assert without_way_back(data_dir) == []
    back_up(data_dir, tmp_path / "b.tar.gz")
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(BackupError, match=r"offsets/c\.db has schema version 99"):
        restore(tmp_path / "b.tar.gz", other)
    assert list(other.iterdir()) == []


def test_the_manifest_is_the_first_thing_in_a_backup(data_dir: Path, tmp_path: Path) -> None:
    manifest = back_up(data_dir, tmp_path / "b.tar.gz")
    with tarfile.open(tmp_path / "b.tar.gz") as tar:
        names = tar.getnames()
        assert all(member.uid == 0 and member.mode == 0o600 for member in tar)
    assert names == ["manifest.json", *(file.name for file in manifest.files)]
    assert names.index("offsets/c.db") < names.index("herder.db")
    assert os.path.getsize(tmp_path / "b.tar.gz") < 100_000
    assert msgspec.json.decode(unpacked(tmp_path / "b.tar.gz")["manifest.json"])["epoch"] == 7
