"""Creating, reading, changing and deleting connectors over HTTP."""

from urllib.parse import quote

import pytest

from tests.unit.rest.fake_herder import SINK, SOURCE, FakeHerder
from tests.unit.rest.rest_server import RestServer

CONFIG = {"connector.class": SOURCE, "file": "/tmp/in", "topic": "t"}


def test_a_created_connector_is_answered_with_its_tasks_and_its_place(server: RestServer) -> None:
    made = server.ask("POST", "/connectors", {"name": "lines", "config": CONFIG})
    assert made.status == 201
    assert made.headers["Location"] == f"{server.url}/connectors/lines"
    assert made.headers["Content-Type"].startswith("application/json")
    assert made.json == {
        "name": "lines",
        "config": {**CONFIG, "name": "lines"},
        "tasks": [{"connector": "lines", "task": 0}],
        "type": "source",
    }
    assert server.ask("GET", "/connectors/lines").json == made.json
    assert server.ask("GET", "/connectors/lines/config").json == made.json["config"]
    assert server.ask("GET", "/connectors").json == ["lines"]


def test_blanks_around_a_name_are_cut_off_by_post_only(server: RestServer) -> None:
    assert server.ask("POST", "/connectors", {"name": "  x ", "config": CONFIG}).json["name"] == "x"
    assert server.ask("PUT", "/connectors/%20y/config", CONFIG).json["name"] == " y"


def test_a_connector_exists_once(server: RestServer) -> None:
    body = {"name": "x", "config": CONFIG}
    assert server.ask("POST", "/connectors", body).status == 201
    again = server.ask("POST", "/connectors", body)
    assert (again.status, again.message) == (409, "Connector x already exists")


@pytest.mark.parametrize(
    ("state", "shown"), [("STOPPED", "STOPPED"), ("paused", "PAUSED"), (None, "RUNNING")]
)
def test_a_connector_begins_in_its_initial_state(
    server: RestServer, state: str | None, shown: str
) -> None:
    body = {"name": "x", "config": CONFIG, "initial_state": state}
    made = server.ask("POST", "/connectors", body)
    assert made.status == 201
    assert len(made.json["tasks"]) == (1 if state is None else 0)
    status = server.ask("GET", "/connectors/x/status").json
    assert status["connector"]["state"] == shown


def test_put_creates_and_then_updates(server: RestServer) -> None:
    first = server.ask("PUT", "/connectors/x/config", CONFIG)
    assert first.status == 201
    assert first.headers["Location"] == f"{server.url}/connectors/x"
    second = server.ask("PUT", "/connectors/x/config", {**CONFIG, "tasks.max": "2"})
    assert second.status == 200
    assert "Location" not in second.headers
    assert len(second.json["tasks"]) == 2


def test_patch_changes_some_keys_and_null_removes_one(server: RestServer) -> None:
    server.ask("PUT", "/connectors/x/config", CONFIG)
    patched = server.ask("PATCH", "/connectors/x/config", {"file": None, "topic": "u"})
    assert patched.status == 200
    assert patched.json["config"] == {"connector.class": SOURCE, "topic": "u", "name": "x"}


def test_a_name_cannot_be_changed(server: RestServer) -> None:
    server.ask("PUT", "/connectors/x/config", CONFIG)
    for method in ("PATCH", "PUT"):
        refused = server.ask(method, "/connectors/x/config", {**CONFIG, "name": "y"})
        assert refused.status == 400
        assert refused.message == (
            "Connector name configuration (y) doesn't match connector name in the URL (x)"
        )
    removed = server.ask("PATCH", "/connectors/x/config", {"name": None})
    assert removed.status == 400
    assert removed.message == 'Missing required configuration "name" which has no default value.'


def test_a_name_only_inside_the_configuration_is_not_enough(server: RestServer) -> None:
    refused = server.ask("POST", "/connectors", {"config": {**CONFIG, "name": "inner"}})
    assert refused.status == 400
    assert refused.message == (
        "Connector name configuration (inner) doesn't match connector name in the URL ()"
    )


def test_a_missing_name_is_what_the_validation_says(server: RestServer) -> None:
    for body in ({"config": CONFIG}, {"config": CONFIG, "name": None}):
        refused = server.ask("POST", "/connectors", body)
        assert refused.status == 400
        assert "Invalid value  for configuration name: String may not be empty" in refused.message


def test_numbers_and_booleans_become_the_texts_they_were_written_as(server: RestServer) -> None:
    raw = b'{"connector.class":"%s","a":1,"b":1.50,"c":true,"d":1e400}' % SOURCE.encode()
    assert server.ask("PUT", "/connectors/x/config", raw=raw).status == 201
    config = server.ask("GET", "/connectors/x/config").json
    assert {k: config[k] for k in "abcd"} == {"a": "1", "b": "1.50", "c": "true", "d": "1e400"}


@pytest.mark.parametrize("name", ["a/b", "50%", "a%2Fb", "back\\slash", "{x}", "ü €👋", "a+b;c=d'"])
def test_any_name_works_when_it_is_percent_encoded(server: RestServer, name: str) -> None:
    made = server.ask("POST", "/connectors", {"name": name, "config": CONFIG})
    assert made.status == 201
    path = f"/connectors/{quote(name, safe='')}"
    assert server.ask("GET", path).json["name"] == name
    assert server.ask("GET", made.headers["Location"].removeprefix(server.url)).status == 200
    assert server.ask("PUT", f"{path}/config", CONFIG).status == 200
    assert server.ask("GET", f"{path}/tasks/0/status").status == 200
    assert server.ask("DELETE", path).status == 204
    assert server.ask("GET", "/connectors").json == []


@pytest.mark.parametrize("name", [".", ".."])
def test_a_name_that_no_url_can_hold_is_refused(server: RestServer, name: str) -> None:
    refused = server.ask("POST", "/connectors", {"name": name, "config": CONFIG})
    assert refused.status == 400
    assert "no URL can name such a connector" in refused.message
    assert server.ask("GET", "/connectors").json == []


def test_characters_that_urls_may_hold_stay_as_they_are_in_the_location(server: RestServer) -> None:
    made = server.ask("POST", "/connectors", {"name": "a=b+c;d'e f", "config": CONFIG})
    assert made.headers["Location"] == f"{server.url}/connectors/a=b+c;d'e%20f"


def test_status_has_a_version_and_a_trace_only_after_a_failure(
    server: RestServer, herder: FakeHerder
) -> None:
    herder.add("x", tasks_max="2")
    herder.set_tasks("x", 1, condition="FAILED", trace="OSError: gone", pid=None)
    assert server.ask("GET", "/connectors/x/status").json == {
        "name": "x",
        "connector": {"state": "RUNNING", "worker_id": "127.0.0.1:8083", "version": "4.3.1"},
        "tasks": [
            {"id": 0, "state": "RUNNING", "worker_id": "127.0.0.1:8083", "version": "4.3.1"},
            {
                "id": 1,
                "state": "FAILED",
                "worker_id": "127.0.0.1:8083",
                "version": "4.3.1",
                "trace": "OSError: gone",
            },
        ],
        "type": "source",
    }
    one = server.ask("GET", "/connectors/x/tasks/1/status").json
    assert (one["id"], one["state"], one["trace"]) == (1, "FAILED", "OSError: gone")


@pytest.mark.parametrize(
    ("condition", "shown"),
    [
        ("STARTING", "RESTARTING"),
        ("BACKOFF", "RESTARTING"),
        ("UNRESPONSIVE", "RUNNING"),
        ("UNKILLABLE", "FAILED"),
        ("STOPPED", "UNASSIGNED"),
    ],
)
def test_old_clients_never_see_a_state_that_they_do_not_know(
    server: RestServer, herder: FakeHerder, condition: str, shown: str
) -> None:
    herder.add("x")
    herder.set_tasks("x", condition=condition)
    assert server.ask("GET", "/connectors/x/status").json["tasks"][0]["state"] == shown


def test_tasks_are_listed_with_their_configurations(server: RestServer, herder: FakeHerder) -> None:
    herder.add("x", SINK)
    assert server.ask("GET", "/connectors/x/tasks").json == [
        {
            "id": {"connector": "x", "task": 0},
            "config": {"connector.class": SINK, "name": "x", "task.class": f"{SINK}Task"},
        }
    ]


def test_a_list_can_be_expanded(server: RestServer, herder: FakeHerder) -> None:
    herder.add("a")
    herder.add("b", SINK)
    both = server.ask("GET", "/connectors?expand=status&expand=info&expand=bogus").json
    assert set(both) == {"a", "b"}
    assert set(both["b"]) == {"status", "info"}
    assert both["b"]["status"] == server.ask("GET", "/connectors/b/status").json
    assert both["b"]["info"] == server.ask("GET", "/connectors/b").json
    assert server.ask("GET", "/connectors?expand=bogus").json == {"a": {}, "b": {}}


def test_a_deleted_connector_is_gone(server: RestServer, herder: FakeHerder) -> None:
    herder.add("x")
    gone = server.ask("DELETE", "/connectors/x")
    assert (gone.status, gone.body) == (204, b"")
    again = server.ask("DELETE", "/connectors/x")
    assert (again.status, again.message) == (404, "Connector x not found")


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/connectors/nope", "Connector nope not found"),
        ("GET", "/connectors/nope/config", "Connector nope not found"),
        ("GET", "/connectors/nope/tasks", "Connector nope not found"),
        ("GET", "/connectors/nope/offsets", "Connector nope not found"),
        ("DELETE", "/connectors/nope/offsets", "Connector nope not found"),
        ("GET", "/connectors/nope/status", "No status found for connector nope"),
        ("GET", "/connectors/nope/tasks/0/status", "No status found for task nope-0"),
        ("PUT", "/connectors/nope/pause", "Unknown connector nope"),
        ("PUT", "/connectors/nope/resume", "Unknown connector nope"),
        ("POST", "/connectors/nope/restart", "Unknown connector: nope"),
        ("POST", "/connectors/nope/restart?includeTasks=true", "Unknown connector: nope"),
        ("POST", "/connectors/nope/restart?onlyFailed=true", "Unknown connector: nope"),
        ("POST", "/connectors/nope/tasks/0/restart", "Unknown connector: nope"),
        ("GET", "/connector-plugins/nope/config", "Unknown plugin nope."),
        ("GET", "/connectors/nope/tasks/x/status", "HTTP 404 Not Found"),
        ("GET", "/connectors/nope/tasks-config", "HTTP 404 Not Found"),
    ],
)
def test_what_does_not_exist_is_not_found(
    server: RestServer, method: str, path: str, message: str
) -> None:
    answer = server.ask(method, path)
    assert (answer.status, answer.message) == (404, message)
