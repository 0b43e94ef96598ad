"""The file source's connector: what it accepts, how it plans, which offsets it takes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from connectors.file import FileStreamSourceConnector
from engine.api import ConfigError, ConnectError


def test_one_task_reads_whatever_tasks_max_says() -> None:
    connector = FileStreamSourceConnector()
    config = {"topic": "t", "file": "/tmp/x", "tasks.max": "4"}
    connector.start(config)
    assert connector.task_configs(4) == [config]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, 'Missing required configuration "topic" which has no default value.'),
        ({"topic": ""}, "Invalid value  for configuration topic: String must be non-empty"),
        ({"topic": "t", "file": ""}, "Invalid value  for configuration file: String must be non-"),
        ({"topic": "t", "batch.size": "0"}, "for configuration batch.size: Value must be at least"),
        ({"topic": "t", "batch.size": "x"}, "configuration batch.size: Not a number of type INT"),
    ],
)
def test_a_bad_configuration_is_refused_with_the_key(
    config: Mapping[str, str], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        FileStreamSourceConnector().start(config)
    assert message in str(caught.value)


def test_a_directory_is_refused_when_a_configuration_is_checked(tmp_path: Path) -> None:
    problems = FileStreamSourceConnector().validate({"topic": "t", "file": str(tmp_path)})
    assert list(problems) == ["file"]


FILE = {"filename": "f"}


@pytest.mark.parametrize(
    ("partition", "offset", "message"),
    [
        (FILE, {}, "Offset objects should either be null or contain the key 'position'"),
        (FILE, {"position": "1"}, "the offset is expected to be a Long value"),
        (FILE, {"position": True}, "the offset is expected to be a Long value"),
        (FILE, {"position": 1.0}, "the offset is expected to be a Long value"),
        (FILE, {"position": -1}, "key in the offset should be a non-negative value"),
        (None, {"position": 1}, "Partition objects cannot be null"),
        ({"file": "f"}, {"position": 1}, "Partition objects should contain the key 'filename'"),
    ],
)
def test_offsets_of_another_form_are_refused(partition: Any, offset: Any, message: str) -> None:
    with pytest.raises(ConnectError) as caught:
        FileStreamSourceConnector().alter_offsets(
            {"file": "f"}, {json.dumps(partition): (partition, offset)}
        )
    assert message in str(caught.value)


@pytest.mark.parametrize("partition", [FILE, {"filename": None}, {"filename": 3}, {"other": 1}])
def test_offsets_may_be_removed(partition: Mapping[str, Any]) -> None:
    changes = {json.dumps(partition): (partition, None)}
    assert FileStreamSourceConnector().alter_offsets({"file": "f"}, changes)


def test_offsets_may_be_set_with_and_without_an_inode() -> None:
    for offset in ({"position": 0}, {"position": 5, "inode": 7}):
        changes: dict[str, Any] = {"x": (FILE, offset)}
        assert FileStreamSourceConnector().alter_offsets({"file": "f"}, changes)


def test_standard_input_has_no_offsets_to_change() -> None:
    with pytest.raises(ConnectError, match="Offsets cannot be modified if the 'file'"):
        FileStreamSourceConnector().alter_offsets({}, {})
