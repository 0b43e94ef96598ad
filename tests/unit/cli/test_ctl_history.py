"""``engine ctl`` about the past and the logs: events, explain, loggers, level."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.cli.ctl.events import event_line
from engine.cli.ctl.exit_code import ExitCode
from engine.cli.ctl.explain import task_text
from engine.model.task_id import TaskId
from tests.unit.cli.conftest import Engine
from tests.unit.rest.fake_herder import FakeHerder
from tests.unit.rest.journal import DEATH, event, write_journal, write_output
from tests.unit.rest.rest_server import RestServer

A = TaskId("a", 0)


@pytest.fixture
def journal(herder: FakeHerder, tmp_path: Path) -> Path:
    path = write_journal(
        tmp_path,
        {**event("config_changed", keys=["x", "y"]), "connector": "a", "by": "operator x curl/8"},
        event("exited", A, **{"from": "RUNNING", "to": "STOPPED"}, why="killed", death={"a": 1}),
        event("backoff", TaskId("b", 1), retry_in=0.12345, to="BACKOFF"),
    )
    herder.journal = path
    return path


def test_events_are_lines_for_people_and_json_for_machines(ctl: Engine, journal: Path) -> None:
    shown = ctl("events")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.splitlines() == [
        "2026-11-21T10:00:00.123 config_changed a keys=x,y (by operator x curl/8)",
        "2026-11-21T10:00:00.123 exited       a-0 RUNNING → STOPPED: killed",
        "2026-11-21T10:00:00.123 backoff      b-1 → BACKOFF: retry_in=0.123",
    ]
    assert ctl("events", "--json").out == journal.read_text()
    assert ctl("events", "--tail", "1", "--json").out.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "count"),
    [(["a"], 2), (["a", "--task", "0"], 1), (["--task", "a-0"], 1), (["--task", "b-0"], 0),
     (["a", "--task", "a-0"], 1)],
)  # fmt: skip
def test_events_are_chosen_by_connector_and_task(
    ctl: Engine, journal: Path, arguments: list[str], count: int
) -> None:
    assert ctl("events", *arguments).out.count("\n") == count


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--task", "0"], "--task 0 needs the name of a connector"),
        (["--task", "x"], "x is no task: expected NAME-0 or 0"),
        (["b", "--task", "a-0"], "a-0 is no task of b"),
    ],
)
def test_a_task_that_cannot_be_meant_is_refused(
    ctl: Engine, journal: Path, arguments: list[str], problem: str
) -> None:
    ended = ctl("events", *arguments)
    assert (ended.code, ended.err) == (2, f"engine ctl: {problem}\n")


def test_following_events_ends_with_an_interrupt(server: RestServer, journal: Path) -> None:
    command = [sys.executable, "-m", "engine", "ctl", "--url", server.url, "events", "-f"]
    with subprocess.Popen(
        [*command, "--task", "a-0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert b"exited" in process.stdout.readline()
        write_journal(journal.parents[1], event("running", A))
        assert b"running" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert process.stderr.read() == b""


def test_an_event_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in event_line({"event": "x", "why": "\x1b[2J"})


# ---- explain -----------------------------------------------------------------------------------


def test_a_death_is_explained_with_the_output_behind_it(
    ctl: Engine, herder: FakeHerder, tmp_path: Path
) -> None:
    herder.add("a")
    herder.deaths[A] = DEATH
    herder.journal = write_journal(tmp_path)
    told = {"timestamp": "2026-11-21T10:00:00Z", "level": "error", "event": "oh no"}
    write_output(tmp_path, A, f"one\ntwo\n\x1e{json.dumps(told)}\nhalf a li")
    shown = ctl("explain", "a-0")

    assert shown.code == 0
    assert shown.out.startswith("ValueError: boom\na-0 ended ")
    assert shown.out.endswith("Output:\none\ntwo\n2026-11-21T10:00:00Z ERROR   oh no\nhalf a li\n")
    last = ctl("explain", "a-0", "--lines", "1").out
    assert last.endswith("Output, the last 1 lines of 4:\nhalf a li\n")
    assert "half" not in ctl("explain", "a-0", "--lines", "0").out
    assert json.loads(ctl("explain", "a-0", "--json").out)["headline"] == "ValueError: boom"


def test_all_tasks_of_a_connector_are_explained_and_why_it_failed_itself(
    ctl: Engine, herder: FakeHerder
) -> None:
    herder.add("a", tasks_max="2")
    herder.entries["a"].failed = "ConfigError: no file\nTraceback …"
    herder.deaths[A] = DEATH
    shown = ctl("explain", "a").out

    assert shown.startswith("Connector a is FAILED:\nConfigError: no file\nTraceback …\n\n")
    assert "\n\nValueError: boom\n" in shown
    assert shown.endswith("a-1 is RUNNING; no process of it has ended yet.\n")
    told = json.loads(ctl("explain", "a", "--json").out)
    assert [each["task"]["task"] for each in told["tasks"]] == [0, 1]


def test_a_connector_whose_name_looks_like_a_task_is_found(ctl: Engine, herder: FakeHerder) -> None:
    herder.add("a-0")
    assert ctl("explain", "a-0").out.startswith("Connector a-0 is RUNNING.")


def test_what_nobody_knows_is_not_found(ctl: Engine) -> None:
    ended = ctl("explain", "a-0")
    assert (ended.code, ended.err) == (
        4, "engine ctl: Neither a task nor a connector is called a-0\n",
    )  # fmt: skip


def test_output_that_was_not_kept_and_output_that_was_not_there_are_told_apart() -> None:
    told: dict[str, object] = {"text": "T", "death": {}, "output": None, "output_note": "see log"}
    assert task_text(told, 40) == "T\n\nOutput: see log"
    assert task_text({**told, "output": ""}, 40) == "T\n\nIt wrote nothing."
    assert task_text({**told, "output": "a\x1b[2Jb"}, 40) == "T\n\nOutput:\na\ufffd[2Jb"


# ---- levels ------------------------------------------------------------------------------------


def test_levels_are_shown_and_set(ctl: Engine, herder: FakeHerder) -> None:
    herder.add("a")
    assert ctl("level", "debug", "a").out == "root DEBUG\n"
    assert ctl("level", "debug", "a").out == "nothing changes\n"
    assert ctl("level", "TRACE", "--logger", "x").out == "x TRACE\n"
    assert [line.split() for line in ctl("loggers", "a").out.splitlines()] == [
        ["LOGGER", "LEVEL", "SET"],
        ["root", "DEBUG", "2023-11-14T22:13:20Z"],
    ]
    assert json.loads(ctl("loggers", "--json").out)["x"]["level"] == "TRACE"
    assert json.loads(ctl("level", "info", "--json").out) == {"changed": []}


def test_a_level_that_nobody_knows_is_refused(ctl: Engine) -> None:
    ended = ctl("level", "loud")
    assert ended.code == ExitCode.USAGE
    assert "invalid log level 'loud'" in ended.err
    assert ctl("loggers", "nobody").code == 4
