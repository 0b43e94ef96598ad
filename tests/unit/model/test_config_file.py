"""Worker and connector files of every format."""

import pytest

from engine.model.config_file import (
    ConnectorConfigFile,
    parse_connector_file,
    parse_worker_file,
)
from engine.model.properties import ConfigFileError
from engine.model.state import TargetState

CONFIG = {"name": "x", "connector.class": "FileStreamSource", "tasks.max": "1"}

WORKER_TOML = """
bootstrap.servers = ["a:9092", "b:9092"]
offset.flush.interval.ms = 10_000
"key.converter" = "JsonConverter"
"key.converter.schemas.enable" = false

[engine]
data.dir = "/var/lib/engine"
restart.jitter = 0.5
"""


def test_a_worker_file_is_properties_or_toml() -> None:
    assert parse_worker_file("a.b = 1\n", "w.properties") == {"a.b": "1"}
    assert parse_worker_file(WORKER_TOML, "w.toml") == {
        "bootstrap.servers": "a:9092,b:9092",
        "offset.flush.interval.ms": "10000",
        "key.converter": "JsonConverter",
        "key.converter.schemas.enable": "false",
        "engine.data.dir": "/var/lib/engine",
        "engine.restart.jitter": "0.5",
    }


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("name=x\nconnector.class=FileStreamSource\ntasks.max=1\n", "c.properties"),
        ('{"name":"x","connector.class":"FileStreamSource","tasks.max":1}', "c.json"),
        ('{"name":"x","config":{"connector.class":"FileStreamSource","tasks.max":"1"}}', "c.json"),
        ('\n{"name":"x","connector.class":"FileStreamSource","tasks.max":"1"}', "c.properties"),
        ('name = "x"\nconnector.class = "FileStreamSource"\ntasks.max = 1\n', "c.toml"),
        ('name = "x"\n[config]\nconnector.class = "FileStreamSource"\ntasks.max = 1\n', "c.toml"),
        ('[x]\nconnector.class = "FileStreamSource"\ntasks.max = 1\n', "c.toml"),
    ],
)
def test_a_connector_file_may_have_any_of_these_forms(text: str, source: str) -> None:
    found = parse_connector_file(text, source)
    assert (found.name, found.config, found.initial_state) == ("x", CONFIG, None)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("RUNNING", TargetState.STARTED),
        ("paused", TargetState.PAUSED),
        ("STOPPED", TargetState.STOPPED),
    ],
)
def test_an_initial_state_is_understood(text: str, state: TargetState) -> None:
    document = f'{{"name":"x","config":{{}},"initial_state":"{text}","other":1}}'
    assert parse_connector_file(document, "c.json") == ConnectorConfigFile(
        "x", {"name": "x"}, state
    )


def test_values_of_other_types_become_kafkas_text() -> None:
    text = 'name="x"\na=1.50\nb=true\nc=2026-11-21\nd=["p","q"]\ne=1979-05-27T07:32:00Z\n'
    config = parse_connector_file(text, "c.toml").config
    assert config == {
        "name": "x",
        "a": "1.5",
        "b": "true",
        "c": "2026-11-21",
        "d": "p,q",
        "e": "1979-05-27T07:32:00+00:00",
    }
    numbers = parse_connector_file('{"name":"x","a":1.50,"b":false,"c":null}', "c.json").config
    assert numbers == {"name": "x", "a": "1.50", "b": "false"}


@pytest.mark.parametrize(
    ("text", "source", "message"),
    [
        ('{"name": "x",\n "a": }', "c.json", "c.json:2: Expecting value"),
        ("[1]", "c.json", "c.json:1: Expected a JSON object"),
        ('{"a":"b"}', "c.json", "c.json:1: The connector has no name"),
        ("a=b\n", "c.properties", "c.properties:1: The connector has no name"),
        ("name= \n", "c.properties", "c.properties:1: The connector has no name"),
        ('name = "x"\nb = \n', "c.toml", "c.toml:2: Invalid value"),
        ('name = "x"\nb = "', "c.toml", "c.toml:2: "),
        ('name="x"\na=[{b=1}]\n', "c.toml", "c.toml:1: a cannot be written"),
        ('{"name":"x","config":{"name":"y"}}', "c.json", "in the configuration, y, is not x"),
        ('{"name":"x","config":{},"initial_state":"UP"}', "c.json", "UP is none of RUNNING"),
        ("name=x\na=\\u1", "c.properties", "c.properties:2: Malformed"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_understood_is_named_with_its_line(
    text: str, source: str, message: str
) -> None:
    with pytest.raises(ConfigFileError) as caught:
        parse_connector_file(text, source)
    assert message in str(caught.value)


def test_a_key_that_continues_another_is_explained() -> None:
    text = 'key.converter = "JsonConverter"\nkey.converter.schemas.enable = false\n'
    with pytest.raises(ConfigFileError) as caught:
        parse_worker_file(text, "w.toml")
    assert str(caught.value).startswith("w.toml:2: ")
    assert 'write the longer one in quotes: "value.converter.schemas.enable"' in str(caught.value)
