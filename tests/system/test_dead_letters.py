"""Records that were given up: looked at, changed, sent again, thrown away, by ``engine ctl``."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from engine.storage.dead_letter_store import DeadLetterStore
from engine.storage.letter_handling import begin_replay
from tests.integration.list_source import read_all
from tests.system.running_engine import RunningEngine, wait_for

pytestmark = [pytest.mark.broker, pytest.mark.system]


class Letters:
    """A sink that reads JSON and keeps what is none.

    Attributes:
        out: what the sink has written.
    """

    def __init__(self, path: Path, kafka: str, topic: str, /, **more: object) -> None:
        self.kafka, self.topic, self.name = kafka, topic, f"sink-{topic}"
        self.out = path / "out.txt"
        config: Mapping[str, object] = {
            "connector.class": "FileStreamSink", "file": str(self.out), "topics": topic,
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter.schemas.enable": "false", "errors.tolerance": "all",
            **{name.replace("__", "."): value for name, value in more.items()},
        }  # fmt: skip
        worker = {"bootstrap.servers": kafka, "offset.flush.interval.ms": 100}
        self.engine = RunningEngine(path / "engine", worker, {self.name: config})

    def send(self, *values: bytes) -> None:
        producer = Producer({"bootstrap.servers": self.kafka})
        for value in values:
            producer.produce(self.topic, value, key=b"k", headers=[("h", b"1")])
        assert producer.flush(30) == 0

    def ctl(self, action: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """``engine ctl dlq ACTION NAME …``."""
        command = self._command(action, *arguments)
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)

    def started(self, action: str, *arguments: str) -> "subprocess.Popen[bytes]":
        """The same, not waited for."""
        return subprocess.Popen(self._command(action, *arguments), stdout=subprocess.DEVNULL)

    def _command(self, action: str, *arguments: str) -> list[str]:
        url = f"http://127.0.0.1:{self.engine.port}"
        ctl = [sys.executable, "-m", "engine", "ctl", "--url", url]
        return [*ctl, "dlq", action, self.name, *arguments]

    def told(self, action: str, *arguments: str) -> Any:
        """The same in JSON, and it is well."""
        done = self.ctl(action, *arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def wait_letters(self, count: int) -> None:
        place = f"/engine/connectors/{self.name}/dead-letters"
        wait_for(lambda: self.engine.ask(place).body["total"] == count)

    def wait_written(self, count: int) -> list[str]:
        """Wait until the sink has written so many lines; they."""

        def lines() -> list[str]:
            return self.out.read_text().splitlines() if self.out.exists() else []

        return wait_for(lambda: found if len(found := lines()) >= count else None)


@pytest.fixture
def letters(tmp_path: Path, kafka: str, unique: Callable[[str], str]) -> Iterator[Letters]:
    made = Letters(tmp_path, kafka, unique("letters"))
    made.send(b'{"n": 1}', b"{bad 1", b"{bad 2")
    with made.engine.running():
        made.wait_letters(2)
        yield made


def test_letters_are_listed_shown_edited_and_purged(letters: Letters) -> None:
    listed = letters.ctl("ls")
    assert listed.returncode == 0, listed.stderr
    assert "VALUE_CONVERTER" in listed.stdout
    assert f"{letters.topic}-0@1" in listed.stdout
    found = letters.told("ls", "--where", "offset>1")
    assert [each["offset"] for each in found["letters"]] == [2]
    number = found["letters"][0]["letter"]
    shown = letters.ctl("show", number).stdout
    assert "value (text): {bad 2" in shown
    assert "header h (text): 1" in shown
    assert "Traceback" in shown
    edited = letters.told("edit", number, "--value", '{"n": 2}')
    assert edited["value"] == {"format": "connect", "data": {"n": 2}}
    assert edited["key"]["data"] == "k"
    assert "original value (text): {bad 2" in letters.ctl("show", number).stdout
    assert letters.told("purge", "--where", "edited=true")["purged"] == 1
    refused = letters.ctl("ls", "--where", "stag=1")
    assert refused.returncode != 0
    assert "did you mean stage?" in refused.stderr
    assert letters.ctl("show", "999").returncode == letters.ctl("show", number).returncode == 4
    assert letters.ctl("purge").returncode == 2


def test_edited_letters_are_replayed_once_and_those_that_fail_again_do_not_loop(
    letters: Letters, kafka: str
) -> None:
    assert letters.told("edit", "1", "--value", '{"n": 2}')["edited"]
    planned = letters.told("replay", "--all", "--dry-run")
    assert planned == {"ready": 2, "skipped": {}, "refused": []}
    assert letters.ctl("replay", "--all", "--rate", "100").returncode == 0
    letters.wait_written(2)
    letters.wait_letters(3)  # the other is still bad
    records = read_all(kafka, letters.topic, 5)
    headers = [dict(each.headers()) for each in records[3:]]
    assert [each.value() for each in records[3:]] == [b'{"n": 2}', b"{bad 2"]
    assert [each.key() for each in records[3:]] == [b"k", b"k"]
    assert [each["__engine.replay.count"] for each in headers] == [b"1", b"1"]
    assert [each["h"] for each in headers] == [b"1", b"1"]
    again = letters.told("replay", "--all")
    assert again["replayed"] == 0
    assert again["skipped"] == {"replayed already": 2, "failed again after a replay": 1}
    assert letters.told("ls", "--where", "replayed=true")["total"] == 2


def test_a_replay_that_was_killed_goes_on_and_sends_nothing_twice(
    letters: Letters, kafka: str
) -> None:
    """As a kill leaves it: Kafka has one of two letters, and neither is known to be sent."""
    assert letters.told("replay", "--where", "number=1")["replayed"] == 1
    store = DeadLetterStore(letters.engine.data_dir, letters.name)
    store.handle(store.letters(limit=2), begin_replay(letters.topic, {0: 3}, 1))
    store.close()
    done = letters.told("replay", "--all")
    assert (done["replayed"], done["confirmed"], done["uncertain"]) == (1, 1, 0)
    values = [each.value() for each in read_all(kafka, letters.topic, 5)]
    assert values[3:] == [b"{bad 1", b"{bad 2"]
    assert letters.told("replay", "--where", "number<=2")["replayed"] == 0


def test_a_replay_outlives_a_kill_of_whoever_asked_and_of_the_engine(
    letters: Letters, kafka: str
) -> None:
    letters.send(b"{bad 3", b"{bad 4")
    letters.wait_letters(4)
    with letters.started("replay", "--where", "number<=4", "--rate", "1") as asking:
        read_all(kafka, letters.topic, 6)
        asking.kill()
    letters.engine.kill()
    letters.engine.start()
    letters.engine.wait_ready()
    left = letters.told("replay", "--where", "number<=4")
    assert left["uncertain"] == 0
    assert letters.told("ls", "--where", "number<=4", "--where", "replayed=true")["total"] == 4
    letters.send(b"{}")
    values = [each.value() for each in read_all(kafka, letters.topic, 10)]
    assert sorted(values[5:]) == [b"{bad 1", b"{bad 2", b"{bad 3", b"{bad 4", b"{}"]
