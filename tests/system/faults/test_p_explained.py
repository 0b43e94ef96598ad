"""P13, P16: every death is explained, every transition is an event, and neither shows a secret."""

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.system.faults.supervised import SupervisedEngine, kill
from tests.system.running_engine import wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def explained(engine: SupervisedEngine, name: str) -> dict[str, Any]:
    """Why task 0 died; the output is written a little later."""
    path = f"/engine/tasks/{name}/0/explain"
    return wait_for(lambda: (told := engine.ask(path).body)["output"] is not None and told) or {}


def events_of(engine: SupervisedEngine, query: str) -> list[dict[str, Any]]:
    """The journal, as lines."""
    body = engine.ask(f"/engine/events?tail=10000&{query}").body
    lines = body.splitlines() if isinstance(body, str) else [json.dumps(body)]
    return [json.loads(line) for line in lines if line]


def ctl(engine: SupervisedEngine, *arguments: str) -> str:
    """What ``engine ctl`` prints."""
    url = f"http://127.0.0.1:{engine.port}"
    command = [sys.executable, "-m", "engine", "ctl", "--url", url, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_a_kill_is_explained(engine: SupervisedEngine, name: str) -> None:
    engine.create(name)
    task = engine.wait_state(name, "RUNNING")
    engine.order(f"{name}-0", "print_and_die last words")
    engine.wait_anew(name, task)
    told = explained(engine, name)

    assert told["headline"].startswith("TaskDied: killed by SIGKILL")
    assert "(class killed, killed by SIGKILL); it was started again" in told["sentence"]
    assert told["death"]["signal"] == signal.SIGKILL
    assert told["death"]["stage"] == "poll"
    assert len(told["death"]["restarts_ms"]) == 1
    assert told["output"].endswith("last words\nhalf a li")
    assert len(told["output"]) <= 64 * 1024


def test_an_exception_is_explained_by_its_first_error_and_its_last(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name)
    task = engine.wait_state(name, "RUNNING")
    engine.order(f"{name}-0", "raise OSError the disk is gone")
    task = engine.wait_anew(name, task)
    engine.order(f"{name}-0", "fail_in_a_thread ValueError before")
    wait_for(lambda: engine.is_taken(f"{name}-0"))
    engine.order(f"{name}-0", "raise ValueError no such column")
    engine.wait_anew(name, task)
    told = explained(engine, name)
    lines = told["text"].splitlines()

    assert lines[0] == "ValueError: no such column"
    assert "an exception that nobody expected (class crash, exit code 70)" in lines[1]
    assert told["death"]["first_error"] == "ValueError: the disk is gone"
    (logged,) = [each for each in told["death"]["logged"] if "before" in each]
    assert logged.endswith("ValueError: before")
    assert "misbehaving.py" in told["text"]
    shown = ctl(engine, "explain", f"{name}-0", "--lines", "3")
    assert shown.startswith("ValueError: no such column\n")
    assert "what to do:" in shown


def test_the_explanation_begins_the_trace_of_the_status(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name, at_start="raise ConfigError no such table")
    engine.wait_state(name, "FAILED")
    trace = engine.ask(f"/connectors/{name}/status").body["tasks"][0]["trace"]
    told = explained(engine, name)

    assert trace.splitlines()[0] == "ConfigError: no such table"
    assert trace == told["text"]
    assert "Correct the configuration" in trace


def test_every_transition_is_an_event_with_who_and_why(engine: SupervisedEngine, name: str) -> None:
    engine.create(name)
    task = engine.wait_state(name, "RUNNING")
    kill(task["pid"], signal.SIGKILL)
    task = engine.wait_anew(name, task)
    engine.ask(f"/connectors/{name}/tasks/0/restart", "POST", headers={"User-Agent": "tester/1"})
    engine.wait_anew(name, task)
    engine.put(f"/connectors/{name}/pause")
    engine.wait_state(name, "PAUSED")
    engine.delete(name)
    wait_for(lambda: events_of(engine, f"connector={name}&event=gone"))
    found = [e for e in events_of(engine, f"connector={name}") if e["event"] != "note"]

    story = [(e["event"], e.get("from"), e.get("to"), e["by"].split(" ")[0]) for e in found]
    assert story == [
        ("connector_created", None, None, "operator"),
        ("starting", None, "STARTING", "operator"),
        ("running", "STARTING", "RUNNING", "operator"),
        ("exited", "RUNNING", "STOPPED", "unknown"),
        ("backoff", "STOPPED", "BACKOFF", "supervisor"),
        ("starting", "BACKOFF", "STARTING", "supervisor"),
        ("running", "STARTING", "RUNNING", "supervisor"),
        ("stopping", "RUNNING", "STOPPING", "operator"),
        ("exited", "STOPPING", "STOPPED", "operator"),
        ("starting", "STOPPED", "STARTING", "operator"),
        ("running", "STARTING", "RUNNING", "operator"),
        ("target_state_changed", "STARTED", "PAUSED", "operator"),
        ("paused", "RUNNING", "PAUSED", "operator"),
        ("connector_deleted", None, None, "operator"),
        ("stopping", "PAUSED", "STOPPING", "operator"),
        ("exited", "STOPPING", "STOPPED", "operator"),
        ("gone", None, None, "operator"),
    ]
    assert found[7]["by"] == "operator 127.0.0.1 tester/1"
    assert (found[3]["pid"], found[3]["generation"]) == (
        found[2]["pid"], found[2]["generation"],
    )  # fmt: skip
    numbers = [e["seq"] for e in found]
    assert numbers == sorted(set(numbers))
    assert ctl(engine, "events", name, "--json").count("\n") == len(
        events_of(engine, f"connector={name}")
    )


def test_journal_and_explanations_outlive_the_engine_and_are_bounded(
    own_engine: Callable[..., SupervisedEngine],
) -> None:
    worker = {"engine.journal.retention.bytes": 60_000, "engine.restart.delay.ms": 0}
    engine = own_engine(worker=worker, connectors={"c": {}})
    engine.start()
    engine.wait_ready()
    task = engine.wait_state("c", "RUNNING")
    for _ in range(12):
        engine.order("c-0", "raise ValueError " + "x" * 3500)
        task = engine.wait_anew("c", task)
    engine.order("c-0", "raise KeyError the last one")
    engine.wait_anew("c", task)
    told = explained(engine, "c")
    assert engine.stop() == 0

    files = list((engine.data_dir / "journal").iterdir())
    assert 1 < len(files) <= 3
    assert sum(path.stat().st_size for path in files) <= 60_000
    with engine.running():
        engine.wait_state("c", "RUNNING")
        again = engine.ask("/engine/tasks/c/0/explain").body
        assert again["headline"] == told["headline"] == "ValueError: the last one"
        assert again["death"] == told["death"]
        ends = [e["event"] for e in events_of(engine, "event=engine_started,engine_stopped")]
        assert ends[-2:] == ["engine_stopped", "engine_started"]
        assert {e["epoch"] for e in events_of(engine, "tail=10000")} == {1, 2}


def test_a_level_is_changed_for_the_running_tasks_of_one_connector_and_those_to_come(
    engine: SupervisedEngine, name: str
) -> None:
    other = f"{name}-b"
    for each in (name, other):
        engine.create(each)
    tasks = {each: engine.wait_state(each, "RUNNING") for each in (name, other)}

    texts = (f"text {number}" for number in itertools.count())

    def shows_debug(connector: str) -> bool:
        """Whether a debug line of the plugin arrives before an error behind it."""
        text = next(texts)
        for level in ("DEBUG", "ERROR"):
            engine.order(f"{connector}-0", f"log {level} {text} {level}")
            wait_for(lambda: engine.is_taken(f"{connector}-0"))
        path = engine.data_dir / "logs" / f"{connector}-0.log"
        wait_for(lambda: f"{text} ERROR" in path.read_text())
        return f"{text} DEBUG" in path.read_text()

    assert not shows_debug(name)
    assert "root DEBUG" in ctl(engine, "level", "DEBUG", name)
    wait_for(lambda: shows_debug(name))  # a task hears of it a little later
    assert not shows_debug(other)

    kill(tasks[name]["pid"], signal.SIGKILL)
    engine.wait_anew(name, tasks[name])
    assert shows_debug(name)

    kill(engine.ask("/engine/worker").body["herder_pid"], signal.SIGKILL)
    shown = wait_for(lambda: engine.ask(f"/engine/connectors/{name}/loggers").body)
    assert shown["root"]["level"] == "DEBUG"
    path = f"/engine/connectors/{name}/loggers/misbehaving.deep"
    changed = engine.ask(path, "PUT", {"level": "ERROR"})
    assert changed.status == 200, changed
    wait_for(lambda: not shows_debug(name))
    query = f"connector={name}&event=level_changed"
    wait_for(lambda: events_of(engine, query)[-1]["to"] == "ERROR")


def test_no_secret_shows_in_a_log_a_trace_or_the_journal(
    own_engine: Callable[..., SupervisedEngine], tmp_path: Path
) -> None:
    secrets = tmp_path / "secrets.properties"
    secrets.write_text("db=provided-hunter2\n")
    worker = {
        "config.providers": "file",
        "config.providers.file.class": "org.apache.kafka.common.config.provider.FileConfigProvider",
    }
    literal = "literal-hunter3"
    config = {"db.password": literal, "api.user": f"${{file:{secrets}:db}}"}
    engine = own_engine(worker=worker, connectors={"c": config})
    with engine.running():
        task = engine.wait_state("c", "RUNNING")
        engine.order("c-0", "leak")
        engine.wait_anew("c", task)
        told = explained(engine, "c")
        assert "'db.password': '[hidden]'" in told["text"]
        assert f"${{file:{secrets}:db}}" in told["text"]
        answers = [
            engine.ask(path).body
            for path in ("/connectors/c/status", "/engine/tasks", "/engine/tasks/c/0/explain",
                         "/engine/events", "/engine/connectors/c/logs")
        ]  # fmt: skip
    written = {
        str(path): path.read_bytes()
        for path in engine.data_dir.rglob("*")
        if path.is_file() and not path.name.startswith("herder.db")
    }
    written |= {"stdout": engine.stdout.read_bytes(), "answers": json.dumps(answers).encode()}
    assert any(b"'db.password': '[hidden]'" in data for data in written.values())
    for secret in (literal, "provided-hunter2"):
        assert [name for name, data in written.items() if secret.encode() in data] == []
    assert os.path.exists(engine.data_dir / "deaths" / "c-0.json")
