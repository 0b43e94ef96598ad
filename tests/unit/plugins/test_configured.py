"""Plugins as a connector's configuration, and the worker's below it, ask for."""

import pytest

from engine.api.errors import ConfigError
from engine.converters.json import JsonConverter
from engine.converters.simple_header import SimpleHeaderConverter
from engine.converters.string import StringConverter, StringHeaderConverter
from engine.plugins.configured import (
    make_converter,
    make_header_converter,
    make_predicate,
    make_transformation,
)
from engine.plugins.registry import Plugins
from engine.transforms.predicate import HasHeaderKey
from engine.transforms.regex_router import RegexRouter

PLUGINS = Plugins()
WORKER = {
    "key.converter": "StringConverter",
    "value.converter": "JsonConverter",
    "value.converter.schemas.enable": "false",
}


def test_the_worker_says_how_to_convert_where_the_connector_does_not() -> None:
    converter = make_converter(PLUGINS, {}, WORKER, "value")
    assert isinstance(converter, JsonConverter)
    assert converter.from_connect_data("t", None, 1) == b"1"
    assert isinstance(make_converter(PLUGINS, {}, WORKER, "key"), StringConverter)


def test_a_connector_with_a_class_of_its_own_gets_nothing_of_the_workers() -> None:
    converter = make_converter(PLUGINS, {"value.converter": "JsonConverter"}, WORKER, "value")
    assert converter.from_connect_data("t", None, 1) == b'{"schema":null,"payload":1}'


def test_settings_without_a_class_are_not_looked_at() -> None:
    config = {"value.converter.schemas.enable": "true"}
    converter = make_converter(PLUGINS, config, WORKER, "value")
    assert converter.from_connect_data("t", None, 1) == b"1"


def test_headers_are_simple_unless_somebody_says_otherwise() -> None:
    assert isinstance(make_header_converter(PLUGINS, {}, WORKER), SimpleHeaderConverter)
    config = {"header.converter": "org.apache.kafka.connect.storage.StringConverter"}
    assert isinstance(make_header_converter(PLUGINS, config, WORKER), StringHeaderConverter)


def test_problems_name_the_key_of_the_configuration() -> None:
    config = {"key.converter": "JsonConverter", "key.converter.schemas.enable": "maybe"}
    with pytest.raises(ConfigError) as caught:
        make_converter(PLUGINS, config, WORKER, "key")
    assert list(caught.value.problems) == ["key.converter.schemas.enable"]
    with pytest.raises(ConfigError) as caught:
        make_converter(PLUGINS, {"key.converter": "Nope"}, WORKER, "key")
    assert caught.value.problems["key.converter"].startswith(
        "Invalid value Nope for configuration key.converter: Class Nope could not be found."
    )
    with pytest.raises(ConfigError, match=r'"key\.converter" which has no default value'):
        make_converter(PLUGINS, {}, {}, "key")


def test_steps_get_what_is_below_their_alias() -> None:
    config = {
        "transforms.t.type": "RegexRouter",
        "transforms.t.regex": "a",
        "transforms.t.replacement": "b",
        "transforms.t.predicate": "p",
        "transforms.t.negate": "true",
        "predicates.p.type": "HasHeaderKey",
        "predicates.p.name": "h",
        "predicates.p.plugin.version": "1",
    }
    assert isinstance(make_transformation(PLUGINS, config, "t"), RegexRouter)
    assert isinstance(make_predicate(PLUGINS, config, "p"), HasHeaderKey)


def test_problems_of_steps_name_the_key_of_the_configuration() -> None:
    with pytest.raises(ConfigError) as caught:
        make_transformation(PLUGINS, {"transforms.t.type": "RegexRouter"}, "t")
    assert set(caught.value.problems) == {"transforms.t.regex", "transforms.t.replacement"}
    with pytest.raises(ConfigError, match=r'"predicates\.p\.type" which has no default value'):
        make_predicate(PLUGINS, {}, "p")
    with pytest.raises(ConfigError, match="does not implement the Predicate interface"):
        make_predicate(PLUGINS, {"predicates.p.type": "json.JSONDecoder"}, "p")
