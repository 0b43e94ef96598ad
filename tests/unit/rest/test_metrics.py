"""The metrics page, read back with Prometheus' own parsers."""

import time

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from engine.model.state import Condition
from engine.model.task_id import TaskId
from tests.unit.rest.fake_herder import FakeHerder, slot_of
from tests.unit.rest.rest_server import RestServer

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(server: RestServer) -> Values:
    page = server.ask("GET", "/metrics")
    assert page.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse_text(page.body.decode())
        for sample in family.samples
    }


def of(values: Values, name: str, **labels: str) -> float | None:
    return values.get((name, frozenset(labels.items())))


def test_a_task_has_its_figures_by_connector_and_task(
    server: RestServer, herder: FakeHerder
) -> None:
    herder.add("x")
    herder.set_tasks("x", restarts={"killed": 3}, exit_code=-9)
    herder.slots[TaskId("x", 0)] = slot_of(
        heartbeat_ns=time.monotonic_ns() - 10**9,
        records_in=7, records_out=6, bytes_in=70, bytes_out=60, retries=2, lag=5,
        batches=4, batch_ns=2_500_000_000, batch_ns_max=10**9, commits=3, commit_ns=10**8,
    )  # fmt: skip
    values = scrape(server)
    expected = {
        "in_records_total": 7, "out_records_total": 6, "in_bytes_total": 70,
        "out_bytes_total": 60, "retries_total": 2, "lag_records": 5, "batch_seconds_sum": 2.5,
        "batch_seconds_count": 4, "batch_max_seconds": 1, "commit_seconds_sum": 0.1,
        "commit_seconds_count": 3, "cpu_seconds_total": 1.5, "resident_memory_bytes": 30 << 20,
        "proportional_memory_bytes": 5 << 20, "backoff_seconds": 0, "last_exit_code": -9,
    }  # fmt: skip
    shown = {name: of(values, f"engine_task_{name}", connector="x", task="0") for name in expected}
    assert shown == expected
    assert of(values, "engine_task_restarts_total", connector="x", task="0", reason="killed") == 3
    age = of(values, "engine_task_heartbeat_age_seconds", connector="x", task="0")
    assert age is not None
    assert 1 <= age < 60


def test_a_task_is_in_exactly_one_state(server: RestServer, herder: FakeHerder) -> None:
    herder.add("x")
    herder.set_tasks("x", condition="BACKOFF", pid=None, retry_in=2.5)
    values = scrape(server)
    states = {
        state: of(values, "engine_task_state", connector="x", task="0", state=state)
        for state in Condition
    }
    assert states == {state: float(state is Condition.BACKOFF) for state in Condition}
    assert of(values, "engine_worker_tasks", state="BACKOFF") == 1
    assert of(values, "engine_task_backoff_seconds", connector="x", task="0") == 2.5


def test_what_is_unknown_is_left_out(server: RestServer, herder: FakeHerder) -> None:
    herder.add("x")
    herder.set_tasks("x", pid=None)
    herder.sampled_pids[TaskId("x", 0)] = 1001
    names = {name for name, _ in scrape(server)}
    unknown = ("lag_records", "heartbeat_age_seconds", "last_exit_code", "resident_memory_bytes")
    for each in unknown:
        assert f"engine_task_{each}" not in names
    assert "engine_task_cpu_seconds_total" in names  # the sum of all processes goes on
    assert "engine_task_in_records_total" in names


def test_no_series_is_left_of_a_connector_that_was_deleted(
    server: RestServer, herder: FakeHerder
) -> None:
    herder.add("x")
    assert b'connector="x"' in server.ask("GET", "/metrics").body
    assert server.ask("DELETE", "/connectors/x").status == 204
    assert b'connector="x"' not in server.ask("GET", "/metrics").body


def test_names_follow_the_rules_and_never_carry_a_pid(
    server: RestServer, herder: FakeHerder
) -> None:
    herder.add('quote " backslash \\ line\nend')
    page = server.ask("GET", "/metrics").body.decode()
    for family in parse_text(page):
        assert family.name.startswith("engine_")
        assert family.documentation.endswith((".", "is."))
        for sample in family.samples:
            assert "pid" not in sample.labels
            assert not any(unit in sample.name for unit in ("_ms", "_ns", "milli", "kilo"))
            assert sample.labels.get("connector", "line\nend").endswith("line\nend")
            assert family.type != "counter" or sample.name.endswith("_total")


def test_openmetrics_is_written_for_those_who_ask(server: RestServer, herder: FakeHerder) -> None:
    herder.add("x")
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    page = server.ask("GET", "/metrics", headers=accept)
    assert page.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    parsed = parse_openmetrics(page.body.decode())  # type: ignore[no-untyped-call]
    families = {family.name: family for family in parsed}
    assert families["engine_task_in_records"].type == "counter"
    assert families["engine_task_batch_seconds"].type == "summary"


@pytest.mark.parametrize("path", ["/metrics", "/metrics/"])
def test_a_browser_sees_the_page(server: RestServer, path: str) -> None:
    assert server.ask("GET", path, headers={"Accept": "text/html"}).status == 200
