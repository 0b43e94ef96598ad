"""Connector configurations against files that Apache Kafka's own validation has written."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.api.config import ConfigKey
from engine.model.connector_config import ConnectorKind, common_keys, validate_common

GOLDEN = Path(__file__).parent / "golden"
Case = dict[str, Any]

OF_PLUGINS = ("transforms.", "predicates.", "key.converter", "value.converter", "header.converter")


def cases() -> list[Case]:
    """Cases about keys that every connector has; plugins are somebody else's to check."""
    loaded: list[Case] = json.loads((GOLDEN / "connector_problems.json").read_text("utf-8"))
    return [case for case in loaded if not any(_is_of_plugin(k) for k in case["problems"])]


def _is_of_plugin(key: str) -> bool:
    return key.startswith(OF_PLUGINS) and not key.endswith((".type", ".negate"))


def described(key: ConfigKey) -> Case:
    """A key as the golden file has it."""
    is_given = not key.is_required and key.default is not None
    return {
        "name": key.name,
        "type": key.type.value,
        "required": key.is_required,
        "default": key.default_text() if is_given else None,
        "importance": key.importance.value,
        "group": key.group,
        "order": key.order,
        "width": key.width,
        "display_name": key.display_name,
    }


@pytest.mark.parametrize("kind", ["source", "sink"])
def test_common_keys_are_kafkas_own(kind: ConnectorKind) -> None:
    golden = json.loads((GOLDEN / "connector_config.json").read_text("utf-8"))
    assert [described(key) for key in common_keys(kind, "4.3.1")] == golden[kind]


def without_regex_error(messages: list[str]) -> list[str]:
    """Messages up to what a regular expression's own compiler has to say."""
    return [message.partition("Invalid regex: ")[0] for message in messages]


@pytest.mark.parametrize("case", cases(), ids=lambda case: str(case["config"]))
def test_problems_are_worded_as_kafka_words_them(case: Case) -> None:
    found = validate_common(case["config"], case["kind"])
    expected = {
        key: without_regex_error(messages)
        for key, messages in case["problems"].items()
        if not any("could not be found" in m or "does not implement" in m for m in messages)
    }
    if case["config"]["name"] is None:  # Kafka overlooks it here and trips over it later
        expected["name"] = ['Missing required configuration "name" which has no default value.']
    assert {key: without_regex_error(messages) for key, messages in found.items()} == expected
