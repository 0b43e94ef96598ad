"""Literals; what each one means is compared with Kafka's own answer in the conformance tests."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api.schema import STRING
from engine.model.literal import parse_string
from engine.model.literal_token import Tokens

WORDS = st.text(alphabet="abc", min_size=1).filter(lambda w: w not in ("null", "true", "false"))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("a b", ["a b"]),
        ("a:b", ["a", ":", "b"]),
        ("[1,2]", ["[", "1", ",", "2", "]"]),
        ("a\\:b", ["a\\:b"]),
        ("a\\\\:b", ["a\\\\", ":", "b"]),
        ("\\", ["\\"]),
    ],
)
def test_a_text_falls_into_tokens_at_its_delimiters(text: str, tokens: list[str]) -> None:
    found, walk = [], Tokens(text)
    while walk.has_next():
        found.append(walk.next())
    assert found == tokens


def test_tokens_can_be_read_again() -> None:
    walk = Tokens("a:b")
    start = walk.mark()
    assert walk.next_joined(4) is None
    assert walk.next_joined(3) == "a:b"
    walk.rewind_to(start)
    assert not walk.can_consume(":")
    assert walk.can_consume("a")


@given(st.text())
def test_any_text_means_something(text: str) -> None:
    parse_string(text)


@given(WORDS)
def test_a_word_means_itself(word: str) -> None:
    assert parse_string(word) == (STRING, word)


@given(st.dictionaries(WORDS, st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_a_map_of_numbers_is_understood(values: dict[str, Any]) -> None:
    text = ",".join(f'"{key}":{value}' for key, value in values.items())
    assert parse_string(f"{{{text}}}").value == values


def test_a_list_that_cannot_be_a_key_makes_its_map_a_text() -> None:
    assert parse_string("{[1]:2}") == (STRING, "{[1]:2}")
