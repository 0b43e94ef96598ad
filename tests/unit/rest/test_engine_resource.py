"""What is ours: tasks, the worker and the logs under ``/engine/``."""

import contextlib
import http.client
import json
import time
from pathlib import Path

import pytest

from engine.herder.herder import TaskCounters
from engine.herder.sampler import Sample
from engine.model.task_id import TaskId
from engine.rest.rates import Rates
from engine.wire.herder_message import ZygoteSeen
from tests.unit.rest.fake_herder import FakeHerder, slot_of
from tests.unit.rest.rest_server import RestServer


def test_a_task_is_shown_with_all_that_is_known(server: RestServer, herder: FakeHerder) -> None:
    herder.add("x")
    herder.set_tasks("x", restarts={"killed": 2, "crash": 1}, reason="killed by SIGKILL")
    now = time.monotonic_ns()
    herder.slots[TaskId("x", 0)] = slot_of(
        heartbeat_ns=now - 2_000_000_000, stage=7, lag=12, records_in=5, records_out=4
    )
    [task] = server.ask("GET", "/engine/tasks").json
    assert task["id"] == {"connector": "x", "task": 0}
    assert (task["type"], task["state"], task["condition"]) == ("source", "RUNNING", "RUNNING")
    assert (task["pid"], task["generation"], task["stage"]) == (1001, 1, "put")
    assert (task["restarts"], task["restarts_total"]) == ({"killed": 2, "crash": 1}, 3)
    assert (task["reason"], task["lag"]) == ("killed by SIGKILL", 12)
    assert (task["counters"]["records_in"], task["counters"]["records_out"]) == (5, 4)
    assert (task["cpu_seconds"], task["pss_bytes"]) == (1.5, 5 << 20)
    assert 2 <= task["heartbeat_age_seconds"] < 60
    assert server.ask("GET", "/engine/tasks/x/0").json["pid"] == 1001


def test_a_task_without_a_process_has_no_heartbeat(server: RestServer, herder: FakeHerder) -> None:
    herder.add("x")
    herder.set_tasks("x", condition="BACKOFF", pid=None, retry_in=1.5, exit_code=-9)
    herder.sampled_pids[TaskId("x", 0)] = 1001
    task = server.ask("GET", "/engine/tasks/x/0").json
    assert (task["condition"], task["state"]) == ("BACKOFF", "RESTARTING")
    assert (task["retry_in_seconds"], task["exit_code"]) == (1.5, -9)
    for gone in ("heartbeat_age_seconds", "stage", "lag", "rss_bytes", "pid", "uptime_seconds"):
        assert task[gone] is None


def test_an_unknown_task_is_not_found(server: RestServer, herder: FakeHerder) -> None:
    herder.add("x")
    answer = server.ask("GET", "/engine/tasks/x/9")
    assert (answer.status, answer.message) == (404, "Task x-9 not found")


def test_the_worker_is_shown(server: RestServer, herder: FakeHerder) -> None:
    herder.add("x", tasks_max="2")
    worker = server.ask("GET", "/engine/worker").json
    assert worker["version"] == "0.1.0"
    assert (worker["supervisor_pid"], worker["herder_pid"]) == (10, 11)
    assert (worker["zygote_pid"], worker["zygote_uptime_seconds"]) == (None, None)
    assert worker["tasks"] == {"RUNNING": 2}


def test_a_zygote_that_can_fork_is_shown_with_its_age(
    server: RestServer, herder: FakeHerder
) -> None:
    herder.zygote = ZygoteSeen(12, time.monotonic_ns() - 5_000_000_000)
    worker = server.ask("GET", "/engine/worker").json
    assert worker["zygote_pid"] == 12
    assert worker["zygote_uptime_seconds"] >= 5


# ---- rates -----------------------------------------------------------------------------------


class Clockwork:
    """A task whose counters and whose time are set by the test."""

    def __init__(self) -> None:
        self.now = 100.0
        self.herder = FakeHerder()
        self.herder.add("x")
        self.cpu = 0.0
        self.rates = Rates(self.counters, lambda: self.now)

    def counters(self) -> list[TaskCounters]:
        [counters] = self.herder.task_counters()
        assert counters.pid is not None
        sample = Sample("x", 0, counters.pid, self.cpu, 0, 0, self.now)
        return [counters._replace(sample=sample)]

    def look(self, seconds: float, records: int, cpu: float) -> None:
        self.now += seconds
        self.cpu = cpu
        self.herder.slots[TaskId("x", 0)] = slot_of(records_in=records, records_out=records // 2)
        self.rates.look()


def test_a_rate_is_the_difference_over_the_last_two_seconds() -> None:
    task = TaskId("x", 0)
    works = Clockwork()
    assert works.rates.of(task) is None
    works.look(1, 1000, 0.5)
    assert works.rates.of(task) is None
    works.look(1, 3000, 1.0)
    works.look(1, 5000, 1.0)
    works.look(1, 7000, 2.0)
    rate = works.rates.of(task)
    assert rate is not None
    assert (rate.records_in, rate.records_out) == (2000, 1000)
    assert rate.cpu == 0.5


def test_a_task_that_is_gone_is_forgotten() -> None:
    works = Clockwork()
    works.look(1, 1, 1)
    works.look(1, 2, 2)
    works.rates = Rates(list, lambda: works.now)
    works.rates.look()
    assert works.rates.of(TaskId("x", 0)) is None


# ---- logs ------------------------------------------------------------------------------------


def line_of(event: str, second: int = 0) -> str:
    return json.dumps({"timestamp": f"2026-11-21T00:00:{second:02}Z", "event": event}) + "\n"


@pytest.fixture
def log(herder: FakeHerder, tmp_path: Path) -> Path:
    """The log of task x-0, with three events."""
    herder.add("x", tasks_max="2")
    path = tmp_path / "x-0.log"
    path.write_text("".join(line_of(f"event {i}", 2 * i) for i in range(3)))
    herder.logs[TaskId("x", 0)] = path
    return path


def events(body: bytes) -> list[str]:
    return [json.loads(line)["event"] for line in body.splitlines()]


def test_the_end_of_a_log_is_shown(server: RestServer, log: Path) -> None:
    answer = server.ask("GET", "/engine/connectors/x/logs?task=0&tail=2")
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert events(answer.body) == ["event 1", "event 2"]
    first = json.loads(answer.body.splitlines()[0])
    assert (first["connector"], first["task"]) == ("x", 0)
    assert server.ask("GET", "/engine/connectors/x/logs?tail=0").body == b""


def test_logs_of_all_tasks_are_merged_by_time(
    server: RestServer, herder: FakeHerder, log: Path
) -> None:
    other = log.with_name("x-1.log")
    other.write_text(line_of("other", 3))
    herder.logs[TaskId("x", 1)] = other
    answer = server.ask("GET", "/engine/connectors/x/logs")
    assert events(answer.body) == ["event 0", "event 1", "other", "event 2"]


def test_a_log_that_was_just_rotated_is_shown_from_before(server: RestServer, log: Path) -> None:
    log.rename(f"{log}.1")
    log.write_text(line_of("new"))
    answer = server.ask("GET", "/engine/connectors/x/logs?tail=3")
    assert sorted(events(answer.body)) == ["event 1", "event 2", "new"]


def test_what_is_no_event_is_shown_as_output(server: RestServer, log: Path) -> None:
    log.write_bytes(b'\x1e{"event":"marked"}\nlibrdkafka says \xff\n{broken\n\nunfinished')
    answer = server.ask("GET", "/engine/connectors/x/logs?task=0")
    shown = [json.loads(line) for line in answer.body.splitlines()]
    assert [each["event"] for each in shown] == ["marked", "librdkafka says \ufffd", "{broken"]
    assert shown[1]["logger"] == "output"


def test_a_long_log_is_read_from_its_end(server: RestServer, log: Path) -> None:
    log.write_text("".join(line_of(f"event {i}") for i in range(20_000)))
    answer = server.ask("GET", "/engine/connectors/x/logs?task=0&tail=5000")
    assert events(answer.body) == [f"event {i}" for i in range(15_000, 20_000)]


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("nope/logs", 404, "Connector nope not found"),
        ("x/logs?task=9", 404, "Task x-9 not found"),
        ("x/logs?task=-1", 400, "Invalid value -1 for task: must be a whole number"),
        ("x/logs?tail=many", 400, "Invalid value many for tail: must be a whole number"),
    ],
)
def test_a_log_that_does_not_exist_is_not_found(
    server: RestServer, log: Path, path: str, status: int, message: str
) -> None:
    answer = server.ask("GET", f"/engine/connectors/{path}")
    assert answer.status == status
    assert answer.message.startswith(message)


def test_following_survives_rotation_and_truncation(server: RestServer, log: Path) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/engine/connectors/x/logs?task=0&tail=1&follow=true")
        response = connection.getresponse()

        def following() -> str:
            return str(json.loads(response.readline())["event"])

        assert following() == "event 2"
        with log.open("a") as file:
            file.write(line_of("added"))
        assert following() == "added"
        with log.open("a") as file:
            file.write(line_of("last of the old"))
            log.rename(f"{log}.1")
            file.write(line_of("written after the renaming"))
        assert following() == "last of the old"
        assert following() == "written after the renaming"
        log.write_text(line_of("first of the new") + line_of("and more"))
        assert following() == "first of the new"
        assert following() == "and more"
        log.write_text(line_of("cut"))
        assert following() == "cut"


def test_following_picks_up_a_task_that_is_added(
    server: RestServer, herder: FakeHerder, log: Path
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/engine/connectors/x/logs?tail=0&follow=true")
        response = connection.getresponse()
        other = log.with_name("x-1.log")
        other.write_text(line_of("other"))
        herder.logs[TaskId("x", 1)] = other
        assert json.loads(response.readline())["event"] == "other"


def test_following_ends_with_the_connector(
    server: RestServer, herder: FakeHerder, log: Path
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/engine/connectors/x/logs?tail=1&follow=true")
        response = connection.getresponse()
        assert response.readline()
        assert server.ask("DELETE", "/connectors/x").status == 204
        assert response.read() == b""
