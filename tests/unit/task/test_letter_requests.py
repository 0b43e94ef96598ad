"""Dead letters of the file, asked for as REST does."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.api.errors import NotFoundError
from engine.api.record import SourceRecord
from engine.api.schema import STRING
from engine.model.error_policy import QueueLimits, Stage
from engine.model.letters.dead_letter import DeadLetter, RawRecord
from engine.model.letters.request import LettersRequest, LettersRequestError
from engine.plugins.registry import Plugins
from engine.storage.dead_letter_store import DeadLetterStore
from engine.storage.letter_handling import begin_replay, end_replay
from engine.task.letters.requests import LetterRequests
from engine.task.source_envelope import SourceEnvelopes

LIMITS = QueueLimits(1 << 20, -1.0, True)
JSON = {
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.json.JsonConverter",
}


def letter(offset: int | None = 0, **given: Any) -> DeadLetter:
    stage, exception = given.pop("stage", Stage.TASK_PUT), given.pop("exception", "ValueError")
    record = {"topic": "t", "partition": 0, "offset": offset, "value": b"v", **given}
    return DeadLetter(
        "c", 0, stage, "Sink", exception, "it is bad", "Traceback\nValueError", 1, 1000 + 7,
        RawRecord(**record),
    )  # fmt: skip


def keep(data_dir: Path, *letters: DeadLetter) -> DeadLetterStore:
    store = DeadLetterStore(data_dir, "c")
    store.add(letters, LIMITS, 2000)
    return store


def ask(data_dir: Path, action: str, **given: Any) -> dict[str, Any]:
    requests = LetterRequests(Plugins(), {"name": "c", **JSON}, {}, data_dir)
    return requests.answer(LettersRequest(action, **given))


def test_where_there_is_no_file_there_is_no_letter_and_none_is_made(tmp_path: Path) -> None:
    assert ask(tmp_path, "list")["total"] == 0
    assert list(tmp_path.iterdir()) == []


def test_letters_are_counted_by_cause_the_most_first(tmp_path: Path) -> None:
    one = letter(2, stage=Stage.VALUE_CONVERTER, exception="a.DataError")
    keep(tmp_path, letter(0), letter(1), one)
    found = ask(tmp_path, "list")
    assert [(each["stage"], each["cause"], each["letters"]) for each in found["counts"]] == [
        ("TASK_PUT", "ValueError", 2), ("VALUE_CONVERTER", "a.DataError", 1),
    ]  # fmt: skip
    assert [each["offset"] for each in found["letters"]] == [0, 1, 2]
    assert ask(tmp_path, "list", where=("cause=DataError",))["total"] == 1


def test_a_list_is_read_in_portions(tmp_path: Path) -> None:
    keep(tmp_path, *map(letter, range(5)))
    first = ask(tmp_path, "list", limit=2)
    assert (len(first["letters"]), first["more_after"], first["total"]) == (2, "2", 5)
    last = ask(tmp_path, "list", limit=3, list_after="2")
    assert ([each["number"] for each in last["letters"]], last["more_after"]) == ([3, 4, 5], None)


def test_data_is_decoded_by_the_connectors_converters_or_guessed(tmp_path: Path) -> None:
    schema = b'{"schema": {"type": "int32", "optional": false}, "payload": 5}'
    keep(
        tmp_path, letter(0, key=b"k", value=schema, headers=(("h", b"1"),)),
        letter(1, value=b"{bad"), letter(2, value=b"\xff"), letter(3, value=None),
    )  # fmt: skip
    shown = ask(tmp_path, "show", letter="1")
    assert shown["key"] == {"format": "connect", "data": "k"}
    assert shown["value"] == {"format": "connect", "data": 5}
    assert shown["headers"] == [{"name": "h", "format": "text", "data": "1"}]
    assert shown["stacktrace"] == "Traceback\nValueError"
    values = [ask(tmp_path, "show", letter=str(number))["value"] for number in (2, 3, 4)]
    assert values == [
        {"format": "text", "data": "{bad"}, {"format": "base64", "data": "/w=="},
        {"format": "null", "data": None},
    ]  # fmt: skip


def test_a_sources_letter_is_shown_as_its_record(tmp_path: Path) -> None:
    record = SourceRecord(
        {"file": "f"}, {"position": 3}, "t", value_schema=STRING, value="Ann", key="k"
    )
    raw = RawRecord(
        "t", value=SourceEnvelopes().of_record(record), source_partition={"file": "f"},
        source_offset={"position": 3},
    )  # fmt: skip
    keep(tmp_path, DeadLetter("c", 0, Stage.TRANSFORMATION, "T", "E", None, "", 1, 5, raw))
    shown = ask(tmp_path, "show", letter="1")
    assert shown["value"] == {"format": "connect", "data": "Ann"}
    assert shown["source_offset"] == {"position": 3}
    assert ask(tmp_path, "list", where=("value=Ann",))["total"] == 1


def test_an_edited_value_stands_beside_the_original_until_it_is_taken_back(tmp_path: Path) -> None:
    keep(tmp_path, letter(0, key=b"k", value=b"old"))
    shown = ask(tmp_path, "edit", letter="1", value="new")
    assert shown["value"]["data"] == "new"
    assert shown["key"]["data"] == "k"
    assert shown["original"]["value"]["data"] == "old"
    assert ask(tmp_path, "edit", letter="1", key=None)["value"]["data"] == "new"
    assert ask(tmp_path, "list", where=("edited=true", "key=null"))["total"] == 1
    back = ask(tmp_path, "edit", letter="1", revert=True)
    assert (back["value"]["data"], back["key"]["data"], back["edited"]) == ("old", "k", False)


def test_an_edit_says_what_it_needs(tmp_path: Path) -> None:
    keep(tmp_path, letter(0))
    with pytest.raises(LettersRequestError, match="expected a new key"):
        ask(tmp_path, "edit", letter="1")
    with pytest.raises(LettersRequestError, match="is no base64"):
        ask(tmp_path, "edit", letter="1", value="ä", base64=True)
    with pytest.raises(NotFoundError, match="Connector c has no dead letter 9"):
        ask(tmp_path, "edit", letter="9", value="x")


def test_letters_are_purged_by_condition(tmp_path: Path) -> None:
    store = keep(tmp_path, *map(letter, range(4)))
    asked = {"where": ("offset>=2",)}
    same = {"matched": 2, "held": [], "cuts": {}, "next": None, "seen": 4}
    purgeable, purged = same | {"purgeable": 2, "of": 4}, same | {"purged": 2, "of": 4}
    assert ask(tmp_path, "purge", dry_run=True, **asked) == purgeable
    assert ask(tmp_path, "purge", **asked) == purged
    assert [each.letter.record.offset for each in store.letters()] == [0, 1]


def test_a_bad_condition_is_told(tmp_path: Path) -> None:
    with pytest.raises(LettersRequestError, match="did you mean stage"):
        ask(tmp_path, "list", where=("stag=1",))


def test_a_dry_run_says_what_would_not_be_sent_and_why(tmp_path: Path) -> None:
    marked = (("__engine.replay.count", b"1"),)
    record = SourceRecord(None, None, "t", value=1)
    source = RawRecord("t", value=SourceEnvelopes().of_record(record))
    store = keep(
        tmp_path, letter(0), letter(1, headers=marked), letter(2, stage=Stage.KAFKA_CONSUME),
        DeadLetter("c", 0, Stage.TRANSFORMATION, "T", "E", None, "", 1, 5, source), letter(4),
    )  # fmt: skip
    fifth = store.letters()[4:]
    store.handle(fifth, begin_replay("t", {0: 5}, 1))
    assert ask(tmp_path, "list", where=("uncertain=true",))["total"] == 1
    store.handle(fifth, end_replay(2))
    found = ask(tmp_path, "replay", dry_run=True)
    assert found["ready"] == 2
    assert found["skipped"] == {
        "failed again after a replay": 1,
        "the record itself could not be read": 1,
        "replayed already": 1,
    }
    assert ask(tmp_path, "replay", dry_run=True, again=True)["ready"] == 4
    ask(tmp_path, "edit", letter="2", value="mended")
    assert ask(tmp_path, "replay", dry_run=True)["ready"] == 3


def test_a_record_that_ends_processes_is_sent_only_on_purpose(tmp_path: Path) -> None:
    keep(tmp_path, letter(0, exception="engine.task.record_quarantine.PoisonRecordError"))
    assert ask(tmp_path, "replay", dry_run=True)["skipped"] == {"it ends processes as it is": 1}
    assert ask(tmp_path, "replay", dry_run=True, again=True)["ready"] == 1
    ask(tmp_path, "edit", letter="1", value="mended")
    assert ask(tmp_path, "replay", dry_run=True)["ready"] == 1


def test_headers_are_edited_beside_the_original(tmp_path: Path) -> None:
    keep(tmp_path, letter(0, key=b"k", headers=(("a", b"1"), ("b", b"2"), ("a", b"3"))))
    shown = ask(tmp_path, "edit", letter="1", headers={"a": "x", "c": None}, remove_headers=("b",))
    assert [(each["name"], each["data"]) for each in shown["headers"]] == [("a", "x"), ("c", None)]
    assert [each["data"] for each in shown["original"]["headers"]] == ["1", "2", "3"]
    assert shown["value"] == shown["original"]["value"]
    with pytest.raises(LettersRequestError, match="no header z; headers of the letter: a, c"):
        ask(tmp_path, "edit", letter="1", remove_headers=("z",))
    again = ask(tmp_path, "edit", letter="1", value="new")
    assert [each["name"] for each in again["headers"]] == ["a", "c"]
    back = ask(tmp_path, "edit", letter="1", revert=True)
    assert back["headers"] == back["original"]["headers"]


def test_a_letter_or_a_queue_that_cannot_be_is_told(tmp_path: Path) -> None:
    with pytest.raises(LettersRequestError, match="x is no letter; expected a number, or PART"):
        ask(tmp_path, "show", letter="x")
    with pytest.raises(LettersRequestError, match="expected all, file or topic"):
        ask(tmp_path, "list", queue="disk")


def test_a_file_from_before_headers_could_be_edited_is_read(tmp_path: Path) -> None:
    """An edit that was made then left the headers alone."""
    keep(tmp_path, letter(0, headers=(("h", b"1"),)))
    ask(tmp_path, "edit", letter="1", value="new")
    path = DeadLetterStore(tmp_path, "c").path
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE handling SET headers = NULL")
        connection.commit()
    assert [each["name"] for each in ask(tmp_path, "show", letter="1")["headers"]] == ["h"]
