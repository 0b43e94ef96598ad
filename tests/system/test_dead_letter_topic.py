"""Bad records on their whole way: a topic of dead letters, an edit, a replay, and once at the end.

With real processes and a real broker, by ``engine ctl`` as people use it.
"""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import Producer

from engine.cli.ctl.exit_code import ExitCode
from tests.integration.list_source import read_all
from tests.system.running_engine import wait_for
from tests.system.test_dead_letters import Letters

pytestmark = [pytest.mark.broker, pytest.mark.system]

PLUGINS = Path(__file__).parent / "plugins"
JSON = "org.apache.kafka.connect.json.JsonConverter"
GOOD = 60
BAD = {
    "KEY_CONVERTER": (b"{bad", {"n": 60}, b"1"),
    "VALUE_CONVERTER": (b"1", None, b"1"),
    "HEADER_CONVERTER": (b"1", {"n": 62}, b"{bad"),
    "TRANSFORMATION": (b"1", {"n": 63, "refuse": "transform"}, b"1"),
    "TASK_PUT": (b"1", {"n": 64, "refuse": "put"}, b"1"),
}
"""By stage: a key, a value (None for one that is no JSON), and a header."""


@pytest.fixture
def letters(
    tmp_path: Path,
    kafka: str,
    unique: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Letters]:
    monkeypatch.setenv("PYTHONPATH", str(PLUGINS))
    topic = unique("orders")
    made = Letters(
        tmp_path, kafka, topic, connector__class="picky.PickySink", key__converter=JSON,
        key__converter__schemas__enable="false",
        header__converter=JSON, header__converter__schemas__enable="false",
        transforms="picky", transforms__picky__type="picky.Picky",
        errors__deadletterqueue__topic__name=f"{topic}-dlq",
        errors__deadletterqueue__topic__replication__factor=1,
        errors__deadletterqueue__context__headers__enable="true",
    )  # fmt: skip
    bad = [
        (key, b"{bad" if value is None else json.dumps(value).encode(), header)
        for key, value, header in BAD.values()
    ]
    good = [(b"1", b'{"n": %d}' % n, b"1") for n in range(GOOD)]
    write(made, *good[:30], *bad, *good[30:])
    with made.engine.running():
        made.wait_written(GOOD)
        made.wait_letters(len(BAD))
        yield made


def write(letters: Letters, *records: tuple[bytes, bytes, bytes]) -> None:
    """Write records: key, value, and a header."""
    producer = Producer({"bootstrap.servers": letters.kafka})
    for key, value, header in records:
        producer.produce(letters.topic, value, key=key, headers=[("h", header)])
    assert producer.flush(30) == 0


def mend(letters: Letters) -> None:
    """Edit each letter so that its record is good."""
    edits = {
        "KEY_CONVERTER": ("--key", "1"),
        "VALUE_CONVERTER": ("--value", '{"n": 61}'),
        "HEADER_CONVERTER": ("--header", "h=1"),
        "TRANSFORMATION": ("--value", '{"n": 63}'),
        "TASK_PUT": ("--value", '{"n": 64}'),
    }
    for letter in letters.told("ls")["letters"]:
        edited = letters.told("edit", letter["letter"], *edits[letter["stage"]])
        assert edited["edited"]


def written(letters: Letters) -> Counter[int]:
    return Counter(json.loads(line)["n"] for line in letters.out.read_text().splitlines())


def test_a_bad_record_of_each_stage_is_found_mended_and_arrives_once(
    letters: Letters, kafka: str
) -> None:
    found = letters.told("ls")
    assert {each["stage"]: each["letters"] for each in found["counts"]} == dict.fromkeys(BAD, 1)
    assert written(letters) == Counter(range(GOOD))
    listed = letters.ctl("ls").stdout
    assert all(stage in listed for stage in BAD)
    put = next(each["letter"] for each in found["letters"] if each["stage"] == "TASK_PUT")
    shown = letters.ctl("show", put).stdout
    assert 'value (connect): {"n": 64, "refuse": "put"}' in shown
    assert "message: something in the batch is refused" in shown
    assert "header h (text): 1" in shown
    assert "__connect" not in shown
    mend(letters)
    assert letters.told("replay", "--all", "--dry-run")["ready"] == len(BAD)
    kill_replays(letters)
    last = letters.told("replay", "--all")
    assert last["uncertain"] == 0
    letters.wait_written(GOOD + len(BAD))
    assert letters.told("replay", "--all")["replayed"] == 0
    # whatever was sent twice would have come before this one
    write(letters, (b"1", b'{"n": 99}', b"1"))
    letters.wait_written(GOOD + len(BAD) + 1)
    assert written(letters) == Counter((*range(GOOD + len(BAD)), 99))
    records = read_all(kafka, letters.topic, GOOD + 2 * len(BAD) + 1)
    marks = [dict(each.headers()).get("__engine.replay.letter") for each in records]
    assert len(set(marks)) == len(BAD) + 1
    assert letters.told("ls", "--where", "replayed=true")["total"] == len(BAD)
    refused = letters.ctl("purge", "--where", "stage=TASK_PUT")
    assert refused.returncode == ExitCode.REFUSED
    assert "a topic can lose nothing but its beginning" in refused.stderr
    purged = letters.ctl("purge", "--all").stdout
    assert "5 letters purged" in purged
    assert "is cut before offset 5: what stood there is gone for everybody" in purged
    assert letters.told("ls")["total"] == 0
    events = letters.engine.ask(f"/engine/events?connector={letters.name}&tail=50").body
    told = [json.loads(line)["event"] for line in events.splitlines()]
    assert [told.count(f"letter_{done}") for done in ("edited", "reverted")] == [len(BAD), 0]
    assert "letters_replayed" in told
    assert told[-1] == "letters_purged"


def kill_replays(letters: Letters) -> None:
    """Begin replays, and kill -9 whoever is sending as soon as a letter is about to be sent."""
    notes = letters.engine.data_dir / "dead-letter-notes" / f"{letters.name}.db"
    for _ in range(3):
        with letters.started("replay", "--all", "--rate", "1") as asking:
            ended = partial(kill_if_sending, letters, notes, asking)
            wait_for(ended)
            asking.kill()


def kill_if_sending(letters: Letters, notes: Path, asking: "subprocess.Popen[bytes]") -> bool:
    """Whether the replay is over: killed while a letter was on its way, or done."""
    if asking.poll() is not None:
        return True
    with contextlib.closing(sqlite3.connect(f"file:{notes}?mode=ro", uri=True)) as connection:
        [(uncertain,)] = connection.execute(
            "SELECT count(*) FROM notes WHERE replay_begun_ms > 0 AND replayed_ms IS NULL"
        )
    if not uncertain:
        return False
    sender = letters.engine.pid_of("dead letters of")
    if sender is None:
        return False
    os.kill(sender, signal.SIGKILL)
    return True


def test_a_sources_record_goes_on_where_it_failed(
    kafka: str, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transformation refuses a line; the letter is mended, and takes the rest of the way."""
    monkeypatch.setenv("PYTHONPATH", str(PLUGINS))
    lines = tmp_path / "lines.txt"
    lines.write_text("a\nrefuse\nb\n")
    queue = f"{topic}-dlq"
    made = Letters(
        tmp_path, kafka, topic, connector__class="FileStreamSource", file=lines, topic=topic,
        transforms="route,picky", transforms__picky__type="picky.Picky",
        transforms__route__type="org.apache.kafka.connect.transforms.RegexRouter",
        transforms__route__regex="(.*)", transforms__route__replacement="new-$1",
        errors__deadletterqueue__topic__name=queue,
        errors__deadletterqueue__topic__replication__factor=1,
    )  # fmt: skip
    with made.engine.running():
        made.wait_letters(1)
        failed = made.ctl("replay", "--all")
        assert failed.returncode == ExitCode.REFUSED
        assert "letter 0@0 was refused: TRANSFORMATION: DataError: the transf" in failed.stderr
        assert made.told("edit", "0@0", "--value", "mended")["value"]["data"] == "mended"
        assert made.told("replay", "--all")["replayed"] == 1
        found = [json.loads(each.value()) for each in read_all(kafka, f"new-{topic}", 3)]
        assert found == ["a", "b", "mended"]
