"""Conditions on dead letters."""

from collections.abc import Sequence
from typing import Any

import pytest

from engine.model.data_text import at_path
from engine.model.letters.filter import FilterError, all_hold, conditions

NOW = 1_700_000_000.0
LETTER: dict[str, Any] = {
    "stage": "TASK_PUT", "cause": "engine.api.errors.DataError", "message": "it timed out",
    "offset": 17, "time": NOW * 1000 - 60_000, "replayed": False, "partition": None,
    "value": {"customer": {"id": 7, "name": "Ann"}, "items": ["a", "b"]}, "key": '{"id": 3}',
    "header": {"a.b": "1"},
}  # fmt: skip


def field_of(name: str, path: Sequence[str]) -> Any:
    return at_path(LETTER[name], path)


def holds(*texts: str) -> bool:
    return all_hold(conditions(texts, NOW), field_of)


@pytest.mark.parametrize(
    "text",
    [
        "stage=TASK_PUT", "stage != KEY_CONVERTER", "cause=DataError",
        "cause=engine.api.errors.DataError", "cause!=ValueError", "message~timed.out", "offset<100",
        "offset>=9", "offset = 17", "time>=-2m", "time<-30s", "time>2023-11-14T00:00:00",
        "time<2023-11-15T00:00:00+01:00", "time>1600000000000", "replayed=false", "partition=null",
        "partition!=3", "value.customer.id=7", "value.customer.id<10", "value.customer.name=Ann",
        "value.items.1=b", "key.id=3", "value.none=null", "header.a.b=1", "value~Ann",
    ],
)  # fmt: skip
def test_what_holds(text: str) -> None:
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "stage=TASK_POLL", "cause=Data", "cause!=DataError", "message~^timed", "offset<9",
        "offset!=17", "time>=-30s", "replayed=true", "partition=3", "partition<3",
        "value.customer.id=8", "value.customer=null", "value.items.2=b", "header.a=1",
    ],
)  # fmt: skip
def test_what_does_not_hold(text: str) -> None:
    assert not holds(text)


def test_all_conditions_must_hold() -> None:
    assert holds("stage=TASK_PUT", "offset=17")
    assert not holds("stage=TASK_PUT", "offset=18")
    assert holds()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stage", "expected FIELD, an operator"),
        ("stag=X", "did you mean stage?"),
        ("valu.x=1", "did you mean value?"),
        ("time>yesterday", "yesterday is no time; expected 2025-"),
        ("message~(", r"\( is no pattern"),
        ("header=1", r"expected header\.NAME"),
        ("stage.x=1", "unknown field stage.x"),
    ],
)
def test_what_cannot_be_understood_is_told(text: str, said: str) -> None:
    with pytest.raises(FilterError, match=said):
        conditions([text], NOW)
