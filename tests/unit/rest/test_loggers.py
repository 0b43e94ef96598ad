"""Levels of logging over HTTP: upstream's resource, and ours for single connectors."""

import pytest

from tests.unit.rest.fake_herder import FakeHerder
from tests.unit.rest.rest_server import RestServer

SET = 1_700_000_000_000


def test_loggers_are_shown_with_level_and_time(server: RestServer, herder: FakeHerder) -> None:
    herder.levels[None] = {"engine.task": ("DEBUG", SET)}
    assert server.ask("GET", "/admin/loggers").json == {
        "root": {"level": "INFO", "last_modified": None},
        "engine.task": {"level": "DEBUG", "last_modified": SET},
    }
    assert server.ask("GET", "/admin/loggers/engine.task").json == {
        "level": "DEBUG", "last_modified": SET,
    }  # fmt: skip


def test_a_level_is_set_and_the_answer_names_what_changed(
    server: RestServer, herder: FakeHerder
) -> None:
    for changed in (["x.y"], []):
        answer = server.ask("PUT", "/admin/loggers/x.y", {"level": "debug"})
        assert (answer.status, answer.json) == (200, changed)
    assert herder.levels[None] == {"x.y": ("DEBUG", SET)}


def test_the_scope_of_a_cluster_is_answered_as_upstream_does(
    server: RestServer, herder: FakeHerder
) -> None:
    answer = server.ask("PUT", "/admin/loggers/root?scope=cluster", {"level": "WARN"})
    assert (answer.status, answer.body) == (204, b"")
    assert herder.levels[None]["root"] == ("WARN", SET)
    assert server.ask("PUT", "/admin/loggers/root?scope=odd", {"level": "INFO"}).status == 200


def test_the_tasks_of_one_connector_have_levels_of_their_own(
    server: RestServer, herder: FakeHerder
) -> None:
    herder.add("a")
    path = "/engine/connectors/a/loggers"
    assert server.ask("PUT", f"{path}/root", {"level": "TRACE"}).json == ["root"]
    assert server.ask("GET", path).json["root"]["level"] == "TRACE"
    assert server.ask("GET", f"{path}/root").json["level"] == "TRACE"
    assert server.ask("GET", "/admin/loggers/root").json["level"] == "INFO"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", "/admin/loggers/x", None, 404, "Logger x not found."),
        ("PUT", "/admin/loggers/x", {}, 400,
         "Desired 'level' parameter was not specified in request."),
        ("PUT", "/admin/loggers/x", {"level": None}, 400,
         "Desired 'level' parameter was not specified in request."),
        ("PUT", "/admin/loggers/x", {"level": "CRITICAL"}, 404, "invalid log level 'CRITICAL'."),
        ("GET", "/engine/connectors/nope/loggers", None, 404, "Connector nope not found"),
        ("PUT", "/engine/connectors/nope/loggers/x", {"level": "INFO"}, 404,
         "Connector nope not found"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_upstreams_words(
    server: RestServer, method: str, path: str, body: object, status: int, message: str
) -> None:
    answer = server.ask(method, path, body)
    assert (answer.status, answer.message) == (status, message)
