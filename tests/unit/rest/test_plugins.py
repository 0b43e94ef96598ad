"""Listing plugins, their keys, and checking configurations over HTTP."""

from tests.unit.rest.fake_herder import SINK, SOURCE
from tests.unit.rest.rest_server import RestServer

VALIDATE = "/connector-plugins/FileStreamSource/config/validate"


def test_connectors_are_listed_and_all_plugins_on_request(server: RestServer) -> None:
    connectors = [
        {"class": SINK, "type": "sink", "version": "4.3.1"},
        {"class": SOURCE, "type": "source", "version": "4.3.1"},
    ]
    assert server.ask("GET", "/connector-plugins").json == connectors
    everything = server.ask("GET", "/connector-plugins?connectorsOnly=false").json
    assert everything == [
        *connectors,
        {"class": "engine.converters.StringConverter", "type": "converter"},
    ]


def test_keys_of_a_plugin_are_described(server: RestServer) -> None:
    keys = server.ask("GET", "/connector-plugins/FileStreamSource/config").json
    assert keys[1] == {
        "name": "tasks.max",
        "type": "INT",
        "required": False,
        "default_value": "1",
        "importance": "MEDIUM",
        "documentation": "Most tasks.",
        "group": "Common",
        "order_in_group": 2,
        "width": "NONE",
        "display_name": "tasks.max",
        "dependents": [],
    }
    assert keys[0]["required"] is True
    assert (keys[2]["group"], keys[2]["order_in_group"]) == (None, -1)


def test_validation_answers_200_whatever_it_finds(server: RestServer) -> None:
    config = {"connector.class": "FileStreamSource", "tasks.max": "x"}
    found = server.ask("PUT", VALIDATE, config)
    assert found.status == 200
    assert set(found.json) == {"name", "error_count", "groups", "configs"}
    assert found.json["error_count"] == 2
    tasks_max = found.json["configs"][1]
    assert set(tasks_max) == {"definition", "value"}
    assert tasks_max["value"] == {
        "name": "tasks.max",
        "value": "x",
        "recommended_values": [],
        "errors": ["Invalid value x for configuration tasks.max: Not a number of type INT"],
        "visible": True,
    }


def test_the_plugin_in_the_path_must_be_that_of_the_body(server: RestServer) -> None:
    assert server.ask("PUT", VALIDATE, {"connector.class": SOURCE}).status == 200
    suffix = "/connector-plugins/Source/config/validate"
    assert server.ask("PUT", suffix, {"connector.class": SOURCE}).status == 200
    full = f"/connector-plugins/{SOURCE}/config/validate"
    refused = server.ask("PUT", full, {"connector.class": "FileStreamSource"})
    assert refused.status == 400
    assert refused.message == (
        f"Included connector type FileStreamSource does not match request type {SOURCE}"
    )


def test_validation_without_a_class_answers_as_upstream_does(server: RestServer) -> None:
    refused = server.ask("PUT", VALIDATE, {})
    assert refused.status == 500
    assert refused.message == (
        "org.apache.kafka.connect.runtime.rest.errors.BadRequestException: "
        "Connector config {} contains no connector type"
    )


def test_warnings_have_a_resource_of_their_own(server: RestServer) -> None:
    found = server.ask(
        "PUT", f"/engine{VALIDATE}", {"connector.class": SOURCE, "name": "x", "fil": "/tmp/x"}
    )
    assert found.json == {"errors": [], "warnings": ["Unknown key fil, did you mean file?"]}
