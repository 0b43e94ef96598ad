"""A source's record as JSON that can be kept, looked at and sent again."""

import base64
import json
from decimal import Decimal
from typing import Any

import pytest

from engine.api import STRING, SchemaAndValue, SourceRecord
from engine.converters.json import JsonConverter
from engine.model.letters.dead_letter import RawRecord
from engine.task.source_envelope import SourceEnvelopes


def opened(envelope: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(envelope)
    return found


def record(value: Any, **more: Any) -> SourceRecord:
    return SourceRecord({"f": "a"}, {"p": 3}, "t", value=value, **more)


def test_everything_that_is_known_of_a_record_is_in_its_envelope() -> None:
    header = (("h", SchemaAndValue(STRING, "x")),)
    made = record("v", value_schema=STRING, key=1, partition=2, timestamp=5, headers=header)
    string = {"type": "string", "optional": False}
    assert opened(SourceEnvelopes("c").of_record(made, "TRANSFORMATION")) == {
        "envelope": "engine.source-record.v1",
        "connector": "c",
        "before": "TRANSFORMATION",
        "topic": "t",
        "partition": 2,
        "timestamp": 5,
        "source_partition": {"f": "a"},
        "source_offset": {"p": 3},
        "key": {"connect": {"schema": None, "payload": 1}},
        "value": {"connect": {"schema": string, "payload": "v"}},
        "headers": [{"name": "h", "value": {"connect": {"schema": string, "payload": "x"}}}],
    }


@pytest.mark.parametrize(
    "value", [None, True, 7, 1.5, "text", "\u2028 \U0001f44b", [1, "a"], {"a": {"b": None}}]
)
def test_a_value_comes_back_from_its_envelope(value: Any) -> None:
    field = opened(SourceEnvelopes().of_record(record(value)))["value"]["connect"]
    converter = JsonConverter()
    converter.configure({"schemas.enable": "true"}, is_key=False)
    back = converter.to_connect_data("t", json.dumps(field).encode())
    assert back.value == value


@pytest.mark.parametrize("value", [object, {1, 2}, "\ud800", Decimal("1.5")])
def test_what_connect_does_not_know_is_at_least_legible(value: Any) -> None:
    field = opened(SourceEnvelopes().of_record(record(value)))["value"]
    assert "connect" in field or str(value) in field["text"]


def test_an_offset_that_is_no_json_is_legible_too() -> None:
    made = SourceRecord({"f": 1j}, {"p": b"\xff"}, "t")
    assert opened(SourceEnvelopes().of_record(made))["source_partition"] == {"f": "1j"}


def test_converted_bytes_stay_the_bytes_they_are() -> None:
    raw = RawRecord("t", None, b"\x00\xff", (("h", None),), source_offset={"p": 1})
    found = opened(SourceEnvelopes().of_bytes(raw))
    assert base64.b64decode(found["value"]["base64"]) == b"\x00\xff"
    assert (
        found["key"]
        == found["headers"][0]["value"]
        == {"connect": {"schema": None, "payload": None}}
    )
    assert found["source_offset"] == {"p": 1}
