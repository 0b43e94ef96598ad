"""A source's dead letters as records again, from the stage on at which they failed."""

import dataclasses
import json
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from engine.api import INT32, STRING, SchemaAndValue, SourceRecord
from engine.model.error_policy import Stage
from engine.model.letters.dead_letter import DeadLetter, RawRecord
from engine.model.letters.place import in_file
from engine.model.letters.request import LettersRequest, LettersRequestError
from engine.model.letters.stored_letter import StoredLetter
from engine.plugins.registry import Plugins
from engine.task.letters.conversion import FailsAgainError, LetterConversion, NotSendableError
from engine.task.letters.edit import edited
from engine.task.source_envelope import SourceEnvelopes

CONFIG = {
    "name": "c",
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.json.JsonConverter",
    "value.converter.schemas.enable": "false",
    "transforms": "route",
    "transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter",
    "transforms.route.regex": "(.*)",
    "transforms.route.replacement": "new-$1",
}
HEADERS = (("h", SchemaAndValue(STRING, "x")),)


def record(value: Any = "Ann", **more: Any) -> SourceRecord:
    return SourceRecord({"f": "a"}, {"p": 3}, "t", value=value, **more)


def of_source(
    made: SourceRecord, stage: str | None = "TRANSFORMATION", *, told: bool = True
) -> StoredLetter:
    envelope = SourceEnvelopes("c").of_record(made, stage if told else None)
    return kept(RawRecord(made.topic, value=envelope), stage)


def kept(raw: RawRecord, stage: str | None, exception: str = "E") -> StoredLetter:
    letter = DeadLetter("c", 0, stage, "T", exception, None, "", 1, 5, raw)
    return StoredLetter(in_file(1), 1, 5, letter)


def sent(stored: StoredLetter, **changes: str) -> RawRecord:
    return LetterConversion(Plugins(), CONFIG | changes, {}).outgoing(stored)


def why(stored: StoredLetter, **changes: str) -> str:
    with pytest.raises(NotSendableError) as raised:
        sent(stored, **changes)
    return str(raised.value)


def test_a_record_goes_on_at_the_stage_where_it_failed() -> None:
    made = record(key="k", headers=HEADERS, partition=2, timestamp=5, value_schema=STRING)
    expected = RawRecord("new-t", b"k", b'"Ann"', [("h", b"x")], partition=2, timestamp=5)
    assert sent(of_source(made)) == expected
    for stage in ("HEADER_CONVERTER", "KEY_CONVERTER", "VALUE_CONVERTER"):
        assert sent(of_source(made, stage)) == replace(expected, topic="t")


def test_what_kafka_refused_is_sent_as_the_bytes_that_it_was() -> None:
    refused = RawRecord("t", key=None, value=b"\xff", headers=(("h", b"1"),), partition=2)
    for stage in (Stage.KAFKA_PRODUCE, None):
        envelope = SourceEnvelopes().of_bytes(refused, stage)
        assert sent(kept(RawRecord("t", value=envelope), stage)) == refused


def test_letters_from_before_envelopes_told_the_stage_go_by_their_own() -> None:
    assert sent(of_source(record(), "TRANSFORMATION", told=False)).topic == "new-t"
    assert sent(of_source(record(), "VALUE_CONVERTER", told=False)).topic == "t"
    poison = of_source(record(), "VALUE_CONVERTER", told=False)
    poison = replace(poison, letter=replace(poison.letter, exception="engine.PoisonRecordError"))
    assert sent(poison).topic == "new-t"  # its envelope has it as it was polled
    assert why(of_source(record(), None)) == "at which stage it failed is not known"
    assert sent(of_source(record(), None), transforms="").topic == "t"


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (b"\x00\xff", None), ({"a": [1, None, 2.5]}, None), (7, INT32), (None, None),
        (None, dataclasses.replace(INT32, optional=True)),
    ],
)  # fmt: skip
def test_values_come_out_of_an_envelope_as_they_went_in(value: Any, schema: Any) -> None:
    envelopes = SourceEnvelopes()
    made = record(value, value_schema=schema)
    back = envelopes.record_in(json.loads(envelopes.of_record(made)))
    assert (back.value, back.value_schema) == (value, schema)


@pytest.mark.parametrize("value", [(1, 2), object(), {"a": b"x"}, Decimal("1.5"), {"a": {1, 2}}])
def test_what_json_does_not_keep_is_not_sent_as_something_else(value: Any) -> None:
    assert why(of_source(record(value))).startswith("its value was a builtins.") or isinstance(
        value, Decimal
    )
    assert "which JSON does not keep" in why(of_source(record(value)))


def test_a_record_that_fails_again_says_how() -> None:
    bad = of_source(record("x", value_schema=STRING), "VALUE_CONVERTER")
    integer = "org.apache.kafka.connect.converters.IntegerConverter"
    with pytest.raises(FailsAgainError) as raised:
        sent(bad, **{"value.converter": integer})
    assert str(raised.value) == "it fails again in VALUE_CONVERTER: DataError"
    assert raised.value.detail.startswith("VALUE_CONVERTER: DataError: ")


def test_where_there_is_nothing_to_send_it_is_said() -> None:
    torn = RawRecord("", value=SourceEnvelopes().of_bytes(RawRecord(""), "TASK_POLL"))
    assert why(kept(torn, "TASK_POLL")) == "a poll failed, and there is no record"
    drops = {"transforms.route.type": "org.apache.kafka.connect.transforms.Filter"}
    assert why(of_source(record()), **drops) == "a transformation drops it"


def edit(stored: StoredLetter, **given: Any) -> StoredLetter:
    changed = edited(stored, LettersRequest("edit", **given))
    return replace(stored, letter=replace(stored.letter, record=changed))


def test_an_edit_of_a_sources_letter_changes_the_record_in_its_envelope() -> None:
    letter = of_source(record(key="k", headers=HEADERS, value_schema=STRING))
    changed = edit(letter, value="Bob", key=None, headers={"i": "7"}, remove_headers=("h",))
    assert sent(changed) == RawRecord("new-t", None, b'"Bob"', [("i", b"7")])
    number = of_source(record(5, value_schema=INT32))
    assert sent(edit(number, value="6")).value == b"6"
    with pytest.raises(LettersRequestError, match="no int32 of the record's schema"):
        edit(number, value='"six"')
    with pytest.raises(LettersRequestError, match="expected JSON of a value of type int32"):
        edit(number, value="six")
    plain = of_source(record({"a": 1}))
    assert sent(edit(plain, value='{"a": 2}')).value == b'{"a":2}'
    envelope = SourceEnvelopes("c").of_record(record("whole"), "TRANSFORMATION").decode()
    assert sent(edit(letter, value=envelope)).value == b'"whole"'


def test_an_edit_of_refused_bytes_gives_other_bytes() -> None:
    refused = SourceEnvelopes().of_bytes(RawRecord("t", b"k", b"long"), "KAFKA_PRODUCE")
    changed = edit(
        kept(RawRecord("t", value=refused), "KAFKA_PRODUCE"), value="c2hvcnQ=", base64=True
    )
    assert sent(changed) == RawRecord("t", b"k", b"short")
