"""Records that end the process which works on them, with real processes and a real broker.

The record is found, kept as a dead letter with its cause, and the task goes on with the others.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from engine.storage.dead_letter_store import DeadLetterStore
from tests.integration.list_source import read_all
from tests.system.running_engine import RunningEngine, wait_for

pytestmark = [pytest.mark.broker, pytest.mark.system]

PLUGINS = Path(__file__).parent / "plugins"
WORKER = {
    "engine.restart.delay.ms": 50,
    "engine.restart.delay.max.ms": 100,
    "engine.restart.max": 50,
    "engine.heartbeat.timeout.ms": 2000,
    "offset.flush.interval.ms": 500,
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, kafka_process: Any) -> Iterator[RunningEngine]:
    worker = {**WORKER, "bootstrap.servers": kafka_process.address}
    made = RunningEngine(tmp_path_factory.mktemp("poison"), worker)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(PLUGINS))
        with made.running() as running:
            yield running


def apply(engine: RunningEngine, name: str, **config: str) -> None:
    given = {"errors.tolerance": "all", **{k.replace("__", "."): v for k, v in config.items()}}
    answer = engine.ask(f"/connectors/{name}/config", "PUT", given)
    assert answer.status in (200, 201), answer


def letters(engine: RunningEngine, name: str) -> list[Any]:
    return [each.letter for each in DeadLetterStore(engine.data_dir, name).letters()]


def write(kafka: str, topic: str, values: list[str]) -> None:
    producer = Producer({"bootstrap.servers": kafka})
    for value in values:
        producer.produce(topic, value.encode(), partition=0)
    assert producer.flush(30) == 0


@pytest.mark.parametrize(
    "case",
    [
        ("segv:put", "killed by SIGSEGV", "TASK_PUT"),
        ("exit:put", "exit code 3", "TASK_PUT"),
        pytest.param(("spin:put", "no heartbeat", "TASK_PUT"), marks=pytest.mark.slow),
        ("segv:flush", "killed by SIGSEGV", "TASK_PUT"),
        ("hoard:put", "out of memory", "TASK_PUT"),
        ("segv:transform", "killed by SIGSEGV", "TRANSFORMATION"),
    ],
    ids=lambda case: case[0].replace(":", "-"),
)
def test_a_sinks_poison_record_is_found_kept_and_passed(
    engine: RunningEngine, kafka: str, topic: str, tmp_path: Path, case: tuple[str, str, str]
) -> None:
    poison, said, stage = case
    name = f"s-{topic}-{poison.replace(':', '-')}"
    values = [f"value {i}" for i in range(60)]
    values[37] = poison
    write(kafka, name, values)
    out = tmp_path / "out.txt"
    apply(
        engine, name, connector__class="poisonous.PoisonousSink", topics=name, file=str(out),
        transforms="p", transforms__p__type="poisonous.Poisonous",
        engine__limit__memory__hard__bytes=str(128 << 20) if poison == "hoard:put" else "0",
    )  # fmt: skip
    good = set(values) - {poison}
    wait_for(lambda: out.exists() and good <= set(out.read_text().splitlines()), timeout=60)
    assert poison not in out.read_text()
    task = engine.task(name)
    assert (task["state"], task["counters"]["poison_records"]) == ("RUNNING", 1)
    [letter] = wait_for(lambda: letters(engine, name))
    assert (letter.record.offset, letter.record.value) == (37, poison.encode())
    assert (letter.stage, letter.exception) == (
        stage, "engine.task.record_quarantine.PoisonRecordError",
    )  # fmt: skip
    assert said in letter.message
    assert engine.ask(f"/connectors/{name}", "DELETE").status == 204


def test_a_sources_poison_record_is_found_kept_and_passed(
    engine: RunningEngine, kafka: str, topic: str, tmp_path: Path
) -> None:
    lines = [f"line {i}" for i in range(60)]
    lines[17] = "segv:transform"
    file = tmp_path / "in.txt"
    file.write_text("".join(f"{line}\n" for line in lines))
    name = f"s-{topic}"
    apply(
        engine, name, connector__class="FileStreamSource", file=str(file), topic=topic,
        transforms="p", transforms__p__type="poisonous.Poisonous",
    )  # fmt: skip
    [letter] = wait_for(lambda: letters(engine, name), timeout=60)
    envelope = json.loads(letter.record.value)
    assert envelope["value"]["connect"]["payload"] == "segv:transform"
    assert letter.stage == "TRANSFORMATION"
    assert "killed by SIGSEGV" in letter.message
    wait_for(lambda: engine.offsets(name)[0]["offset"]["position"] == file.stat().st_size)
    good = {line.encode() for line in lines} - {b"segv:transform"}
    found = read_all(kafka, topic, len(good))
    assert {message.value() for message in found} <= good
    assert engine.ask(f"/connectors/{name}", "DELETE").status == 204


def test_where_nothing_is_tolerated_no_record_is_given_up(
    engine: RunningEngine, kafka: str, topic: str, tmp_path: Path
) -> None:
    write(kafka, topic, ["a", "segv:put", "b"])
    name = f"s-{topic}"
    apply(
        engine, name, connector__class="poisonous.PoisonousSink", topics=topic,
        file=str(tmp_path / "out.txt"), errors__tolerance="none", engine__restart__max="4",
    )  # fmt: skip
    wait_for(lambda: engine.task(name)["state"] == "FAILED", timeout=60)
    assert engine.task(name)["counters"]["poison_records"] == 0
    assert letters(engine, name) == []
    assert engine.ask(f"/connectors/{name}", "DELETE").status == 204
