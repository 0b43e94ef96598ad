"""Pausing, resuming, stopping and restarting over HTTP."""

import pytest

from tests.unit.rest.fake_herder import FakeHerder
from tests.unit.rest.rest_server import RestServer


def test_target_states_are_changed_and_answered_as_upstream_does(
    server: RestServer, herder: FakeHerder
) -> None:
    herder.add("x")
    for action, status, state, tasks in [
        ("pause", 202, "PAUSED", 1),
        ("resume", 202, "RUNNING", 1),
        ("stop", 204, "STOPPED", 0),
        ("stop", 204, "STOPPED", 0),
        ("resume", 202, "RUNNING", 1),
    ]:
        done = server.ask("PUT", f"/connectors/x/{action}")
        assert (done.status, done.body) == (status, b"")
        now = server.ask("GET", "/connectors/x/status").json
        assert (now["connector"]["state"], len(now["tasks"])) == (state, tasks)


def test_stopping_an_unknown_connector_answers_with_upstreams_words(server: RestServer) -> None:
    answer = server.ask("PUT", "/connectors/nope/stop")
    assert (answer.status, answer.message) == (500, "No connector `nope` configured")


def test_a_plain_restart_touches_the_connector_alone(
    server: RestServer, herder: FakeHerder
) -> None:
    herder.add("x", tasks_max="2")
    for query in ("", "?includeTasks=false&onlyFailed=no", "?includeTasks=1"):
        done = server.ask("POST", f"/connectors/x/restart{query}")
        assert (done.status, done.body) == (204, b"")
    assert herder.restarted == ["x", "x", "x"]


@pytest.mark.parametrize(
    ("query", "restarted"),
    [
        ("includeTasks=true", ["x", "x-0", "x-1"]),
        ("includeTasks=TRUE&onlyFailed=true", ["x-1"]),
        ("onlyFailed=true", []),
    ],
)
def test_flags_say_what_is_restarted_and_the_answer_shows_it(
    server: RestServer, herder: FakeHerder, query: str, restarted: list[str]
) -> None:
    herder.add("x", tasks_max="2")
    herder.set_tasks("x", 1, condition="FAILED", trace="ValueError: no")
    done = server.ask("POST", f"/connectors/x/restart?{query}")
    assert done.status == 202
    assert herder.restarted == restarted
    shown = ["x"] if done.json["connector"]["state"] == "RESTARTING" else []
    shown += [f"x-{t['id']}" for t in done.json["tasks"] if t["state"] == "RESTARTING"]
    assert shown == restarted


def test_one_task_is_restarted(server: RestServer, herder: FakeHerder) -> None:
    herder.add("x")
    assert server.ask("POST", "/connectors/x/tasks/0/restart").status == 204
    assert herder.restarted == ["x-0"]
    unknown = server.ask("POST", "/connectors/x/tasks/5/restart")
    assert (unknown.status, unknown.message) == (404, "Task x-5 not found")
    assert len(server.ask("GET", "/connectors/x/status").json["tasks"]) == 1
