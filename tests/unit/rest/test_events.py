"""The journal over HTTP."""

import contextlib
import http.client
import json
from pathlib import Path

import pytest

from engine.model.task_id import TaskId
from tests.unit.rest.fake_herder import FakeHerder
from tests.unit.rest.journal import event, write_journal
from tests.unit.rest.rest_server import RestServer

A, B, C = TaskId("a", 0), TaskId("a", 1), TaskId("b", 0)


@pytest.fixture
def journal(herder: FakeHerder, tmp_path: Path) -> Path:
    """Nine events of three tasks, and one of a connector."""
    events = [event("running", task, number=n) for n in range(3) for task in (A, B, C)]
    path = write_journal(
        tmp_path, *events, {**event("config_changed"), "connector": "a", "number": 9}
    )
    herder.journal = path
    return path


def numbers(server: RestServer, query: str) -> list[int]:
    answer = server.ask("GET", f"/engine/events?{query}")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    return [json.loads(line)["number"] for line in answer.body.splitlines()]


def test_events_come_in_order_and_as_they_were_written(server: RestServer, journal: Path) -> None:
    assert numbers(server, "") == [0, 0, 0, 1, 1, 1, 2, 2, 2, 9]
    assert server.ask("GET", "/engine/events").body == journal.read_bytes()
    assert numbers(server, "tail=2") == [2, 9]
    assert numbers(server, "tail=0") == []


def test_events_are_chosen_by_connector_task_and_kind(server: RestServer, journal: Path) -> None:
    assert numbers(server, "connector=a") == [0, 0, 1, 1, 2, 2, 9]
    assert numbers(server, "connector=a&task=1") == [0, 1, 2]
    assert numbers(server, "connector=b&tail=1") == [2]
    assert numbers(server, "event=config_changed,failed") == [9]
    assert numbers(server, "connector=nobody") == []


def test_older_files_are_read_as_far_as_is_needed(server: RestServer, journal: Path) -> None:
    journal.rename(f"{journal}.1")
    write_journal(journal.parents[1], event("running", A, number=3))
    assert numbers(server, "connector=a&task=0&tail=3") == [1, 2, 3]


def test_half_a_line_and_what_is_no_event_are_left_out(server: RestServer, journal: Path) -> None:
    with journal.open("a") as file:
        file.write('{"event": \n[1]\n{"event":"running","number":4}\n{"half')
    assert numbers(server, "tail=2") == [9, 4]


def test_a_long_journal_is_searched_from_its_end(server: RestServer, journal: Path) -> None:
    write_journal(journal.parents[1], *(event("running", C, number=100 + n) for n in range(20_000)))
    assert numbers(server, "connector=a&task=0&tail=2") == [1, 2]


def test_new_events_are_followed_over_a_rotation(server: RestServer, journal: Path) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/engine/events?connector=a&tail=1&follow=true")
        response = connection.getresponse()

        def following() -> int:
            return int(json.loads(response.readline())["number"])

        assert following() == 9
        write_journal(journal.parents[1], event("x", C, number=10), event("x", A, number=11))
        assert following() == 11
        journal.rename(f"{journal}.1")
        write_journal(journal.parents[1], event("x", A, number=12))
        assert following() == 12


@pytest.mark.parametrize("query", ["task=x", "tail=-1", "tail=100001"])
def test_a_wrong_number_is_refused(server: RestServer, journal: Path, query: str) -> None:
    answer = server.ask("GET", f"/engine/events?{query}")
    assert answer.status == 400
    assert "must be a whole number" in answer.message


def test_a_worker_without_a_journal_says_so(server: RestServer) -> None:
    answer = server.ask("GET", "/engine/events")
    assert (answer.status, answer.message) == (404, "This worker keeps no journal")


def test_a_journal_that_has_no_file_yet_is_empty(
    server: RestServer, herder: FakeHerder, tmp_path: Path
) -> None:
    herder.journal = tmp_path / "journal" / "events.jsonl"
    assert numbers(server, "") == []
