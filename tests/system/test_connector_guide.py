"""The guide's connector, its file and its way of running it, in a real engine."""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.list_source import read_all
from tests.system.running_engine import RunningEngine, wait_for
from tests.unit.docs.guide import blocks

pytestmark = [pytest.mark.broker, pytest.mark.system]


@pytest.fixture
def engine(tmp_path: Path, kafka: str) -> Iterator[RunningEngine]:
    made = RunningEngine(
        tmp_path / "engine", {"bootstrap.servers": kafka, "offset.flush.interval.ms": 100}
    )
    [source], [connector, _entry_point] = blocks("python"), blocks("toml")
    (made.directory / "table_source.py").write_text(source)
    (made.directory / "table-source.toml").write_text(connector)
    made.command.append("table-source.toml")
    with made.ended():
        yield made


@contextmanager
def running(engine: RunningEngine) -> Iterator[None]:
    [command] = [line for line in blocks("sh")[0].splitlines() if "engine standalone" in line]
    assert command.startswith("PYTHONPATH=. engine standalone")
    assert command.endswith("table-source.toml")
    engine.start(env={**os.environ, "PYTHONPATH": "."})
    engine.wait_ready()
    yield
    assert engine.stop() == 0


def insert(engine: RunningEngine, *names: str) -> None:
    with closing(sqlite3.connect(engine.directory / "people.db")) as database:
        database.execute("CREATE TABLE IF NOT EXISTS people (id INTEGER PRIMARY KEY, name TEXT)")
        database.executemany("INSERT INTO people (name) VALUES (?)", [(name,) for name in names])
        database.commit()


def test_the_guides_connector_brings_its_rows_and_goes_on_after_a_restart(
    engine: RunningEngine, kafka: str
) -> None:
    def committed() -> Any:
        return [each["offset"] for each in engine.offsets("people")]

    with running(engine):
        engine.wait_condition("people", "cannot read people")
        insert(engine, "Ada", "Grace")
        wait_for(lambda: committed() == [{"id": 2}])
    insert(engine, "Barbara")
    with running(engine):
        wait_for(lambda: committed() == [{"id": 3}])
    rows = [json.loads(message.value()) for message in read_all(kafka, "people", 3)]
    assert rows == [{"id": i + 1, "name": n} for i, n in enumerate(("Ada", "Grace", "Barbara"))]
