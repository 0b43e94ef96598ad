"""The guide's connector does what the guide says."""

import sqlite3
import tomllib
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from engine.api import ConfigError, Offset, Partition, RetriableError
from engine.model.config_file import parse_connector_file
from tests.unit.docs.guide import GUIDE, blocks


class Context:
    """Knows one stored offset."""

    def __init__(self, stored: Offset | None = None) -> None:
        self.stored = stored

    def offset_storage_reader(self) -> "Context":
        return self

    def offset(self, partition: Partition) -> Offset | None:
        assert partition == {"table": "people"}
        return self.stored

    def offsets(self, partitions: Iterable[Partition]) -> list[Offset | None]:
        return [self.offset(p) for p in partitions]


@pytest.fixture
def guide() -> Any:
    (source,) = blocks("python")
    module = types.ModuleType("table_source")
    exec(compile(source, str(GUIDE), "exec"), module.__dict__)
    return module


def start(guide: Any, database: Path, stored: Offset | None = None) -> Any:
    connector = guide.TableSource()
    given = {"database": str(database), "table": "people", "topic": "people"}
    assert [k.name for k in connector.config()] == list(given)
    connector.start(given)
    (task_config,) = connector.task_configs(3)
    task = connector.task_class()()
    task.initialize(Context(stored))
    task.start(task_config)
    return task


def test_the_source_reads_rows_and_goes_on_after_the_last_offset(
    guide: Any, tmp_path: Path
) -> None:
    path = tmp_path / "people.db"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)")
    database.executemany("INSERT INTO people (name) VALUES (?)", [("Ada",), ("Grace",)])
    database.commit()
    task = start(guide, path)
    records = task.poll()
    assert [r.value for r in records] == [{"id": 1, "name": "Ada"}, {"id": 2, "name": "Grace"}]
    assert {r.topic for r in records} == {"people"}
    assert task.poll() == []
    task.stop()
    database.execute("INSERT INTO people (name) VALUES ('Barbara')")
    database.commit()
    database.close()
    successor = start(guide, path, stored=records[-1].source_offset)
    assert [r.value["name"] for r in successor.poll()] == ["Barbara"]


def test_a_missing_table_is_tried_again(guide: Any, tmp_path: Path) -> None:
    with pytest.raises(RetriableError, match="cannot read people: no such table: people"):
        start(guide, tmp_path / "empty.db").poll()


def test_every_missing_key_is_said_at_once(guide: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        guide.parse(guide.TableConfig, {})
    assert list(caught.value.problems) == ["database", "table", "topic"]


def test_the_example_has_about_forty_lines() -> None:
    (source,) = blocks("python")
    assert sum(1 for line in source.splitlines() if line.strip()) <= 42


def test_the_files_of_the_guide_can_be_read() -> None:
    connector, project = blocks("toml")
    parsed = parse_connector_file(connector, "table-source.toml")
    assert parsed.name == "people"
    assert parsed.config["connector.class"] == "table_source.TableSource"
    tomllib.loads(project)
