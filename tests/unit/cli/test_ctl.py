"""``engine ctl`` from its arguments to its output and its exit code."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from engine.model.task_id import TaskId
from engine.wire.herder_message import Losses, Reloaded, UpgradeState
from tests.unit.cli.conftest import Engine
from tests.unit.rest.fake_herder import SINK, SOURCE, FakeHerder, slot_of
from tests.unit.rest.rest_server import RestServer


def test_status_shows_connectors_and_tasks_the_worst_first(ctl: Engine, herder: FakeHerder) -> None:
    herder.add("a-fine-one", SINK)
    herder.add("broken", tasks_max="2")
    herder.set_tasks("broken", 1, condition="FAILED", trace="OSError: gone\n  at …", pid=None)
    herder.slots[TaskId("broken", 0)] = slot_of(records_out=1_234_567, lag=89)
    shown = ctl("status")
    assert (shown.code, shown.err) == (0, "")
    lines = shown.out.splitlines()
    assert lines[0].split() == ["CONNECTOR", "TYPE", "STATE", "TASKS"]
    assert lines[1].split() == ["broken", "source", "RUNNING", "1/2"]
    assert lines[2].split() == ["a-fine-one", "sink", "RUNNING", "1/1"]
    tasks = [line.split() for line in lines[5:8]]
    assert [row[0] for row in tasks] == ["broken-1", "a-fine-one-0", "broken-0"]
    assert tasks[0][1:3] == ["-", "FAILED"]
    assert "1,234,567" in tasks[2]
    assert "89" in tasks[2]
    assert lines[-1] == "broken-1: OSError: gone"


def test_status_of_one_connector_leaves_the_others_out(ctl: Engine, herder: FakeHerder) -> None:
    herder.add("a")
    herder.add("b")
    shown = ctl("status", "b").out
    assert "b-0" in shown
    assert "a-0" not in shown


def test_status_shows_what_the_worker_itself_suffers_from(ctl: Engine, herder: FakeHerder) -> None:
    herder.add("a")
    herder.losses = Losses(problems=("the journal cannot be written: No space left on device",))
    shown = ctl("status").out.splitlines()
    assert shown[-1] == "worker: the journal cannot be written: No space left on device"


def test_status_in_json_has_everything(ctl: Engine, herder: FakeHerder) -> None:
    herder.add("a")
    for arguments in (("status", "--json"), ("--json", "status"), ("status", "a", "--json")):
        shown = json.loads(ctl(*arguments).out)
        assert [each["name"] for each in shown["connectors"]] == ["a"]
        assert shown["tasks"][0]["condition"] == "RUNNING"


def test_a_back_off_shows_how_long_it_lasts(ctl: Engine, herder: FakeHerder) -> None:
    herder.add("a")
    herder.set_tasks("a", condition="BACKOFF", pid=None, retry_in=2.5, reason="exit code 70")
    shown = ctl("status").out
    assert "BACKOFF 2.5 s" in shown
    assert shown.endswith("a-0: exit code 70\n")


def test_without_connectors_status_says_so(ctl: Engine) -> None:
    assert ctl("status").out == "No connectors.\n"
    assert ctl("list").out == ""
    assert ctl("list", "--json").out == "[]\n"


def test_names_are_listed_one_a_line(ctl: Engine, herder: FakeHerder) -> None:
    herder.add("b")
    herder.add("a")
    assert ctl("list").out == "a\nb\n"
    assert json.loads(ctl("list", "--json").out) == ["a", "b"]


def test_describe_shows_configuration_tasks_and_offsets(ctl: Engine, herder: FakeHerder) -> None:
    herder.add("a", file="/tmp/in")
    herder.set_tasks("a", restarts={"killed": 2}, reason="killed by SIGKILL")
    shown = ctl("describe", "a").out
    for expected in (
        "  file = /tmp/in",
        f"  connector.class = {SOURCE}",
        "task a-0",
        "  restarts = killed=2",
        "  last exit = killed by SIGKILL",
        "  filename=/var/log/dpkg.log: position=42",
    ):
        assert expected in shown.splitlines()
    assert set(json.loads(ctl("describe", "a", "--json").out)) == {
        "info", "status", "tasks", "offsets"
    }  # fmt: skip


def test_describe_shows_what_it_can(ctl: Engine, herder: FakeHerder) -> None:
    herder.add("a")
    herder.offsets_problem = "the broker does not answer"
    shown = ctl("describe", "a")
    assert (shown.code, shown.err) == (1, "engine ctl: the broker does not answer\n")
    assert "task a-0" in shown.out.splitlines()


# ---- apply -----------------------------------------------------------------------------------


def test_apply_creates_updates_and_leaves_alone(
    ctl: Engine, herder: FakeHerder, tmp_path: Path
) -> None:
    file = tmp_path / "lines.properties"
    file.write_text(f"name=lines\nconnector.class={SOURCE}\nfile=/tmp/in\ntopic=t\n")
    assert ctl("apply", "-f", file).out == "created lines\n"
    assert ctl("apply", "-f", file).out == "unchanged lines\n"
    file.write_text(file.read_text().replace("/tmp/in", "/tmp/other"))
    assert ctl("apply", "-f", file).out == "updated lines\n"
    assert herder.entries["lines"].config["file"] == "/tmp/other"


def test_apply_takes_several_files_of_all_formats(
    ctl: Engine, herder: FakeHerder, tmp_path: Path
) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.toml"
    body = {"name": "one", "config": {"connector.class": SOURCE}, "initial_state": "STOPPED"}
    one.write_text(json.dumps(body))
    two.write_text(f'name = "two"\n"connector.class" = "{SINK}"\n"tasks.max" = 2\n')
    shown = ctl("apply", "-f", one, "-f", two, "--json")
    assert [(each["name"], each["outcome"]) for each in json.loads(shown.out)] == [
        ("one", "created"),
        ("two", "created"),
    ]
    assert herder.entries["one"].tasks == {}
    assert len(herder.entries["two"].tasks) == 2


def test_apply_warns_of_keys_that_nobody_knows(ctl: Engine, tmp_path: Path) -> None:
    file = tmp_path / "x.properties"
    file.write_text(f"name=x\nconnector.class={SOURCE}\nfil=/tmp/in\n")
    shown = ctl("apply", "-f", file)
    assert (shown.code, shown.out) == (0, "created x\n")
    assert shown.err == f"engine ctl: {file}: Unknown key fil, did you mean file?\n"


def test_nothing_is_applied_unless_all_files_can_be_read(
    ctl: Engine, herder: FakeHerder, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.properties", tmp_path / "bad.json"
    good.write_text(f"name=good\nconnector.class={SOURCE}\n")
    bad.write_text('{"name": "bad",\n oops}')
    shown = ctl("apply", "-f", good, "-f", bad)
    assert shown.code == 2
    assert f"{bad}:2:" in shown.err
    assert herder.entries == {}
    missing = ctl("apply", "-f", tmp_path / "none")
    assert missing.code == 2
    assert missing.err == f"engine ctl: {tmp_path}/none: No such file or directory\n"


def test_a_reload_tells_what_it_did_and_fails_when_something_was_refused(
    ctl: Engine, herder: FakeHerder
) -> None:
    assert ctl("reload") == (0, "nothing has changed\n", "")
    herder.reloaded = Reloaded({"a": "updated", "b": "deleted"}, pending=("k has changed",))
    assert ctl("reload") == (0, "updated a\ndeleted b\n", "engine ctl: k has changed\n")
    herder.reloaded = Reloaded(problems=("c.json: gone",))
    assert ctl("reload") == (1, "", "engine ctl: c.json: gone\n")
    shown = json.loads(ctl("reload", "--json").out)
    assert shown == {"changed": {}, "problems": ["c.json: gone"], "pending": []}


def test_an_upgrade_is_waited_for_and_tells_the_versions_or_the_problem(
    ctl: Engine, herder: FakeHerder
) -> None:
    said = "upgraded from 0.1.0 to 0.1.0; 0 tasks went on undisturbed\n"
    assert ctl("upgrade") == (0, said, "")
    herder.upgraded = UpgradeState(problem="the new version is broken")
    told = "engine ctl: Not upgraded: the new version is broken\n"
    assert ctl("upgrade") == (1, "", told)
    shown = json.loads(ctl("upgrade", "--json").out)
    assert (shown["attempts"], shown["problem"]) == (3, "the new version is broken")
    herder.upgraded = UpgradeState(is_running=True)
    late = ctl("upgrade", "--wait", "0.2")
    assert (late.code, late.out) == (3, "")
    assert "not over after 0.2 s" in late.err


def test_a_file_that_is_refused_does_not_keep_the_others(
    ctl: Engine, herder: FakeHerder, tmp_path: Path
) -> None:
    bad, good = tmp_path / "bad.properties", tmp_path / "good.properties"
    bad.write_text("name=bad\nfile=/tmp/in\n")
    good.write_text(f"name=good\nconnector.class={SOURCE}\n")
    shown = ctl("apply", "-f", bad, "-f", good)
    assert (shown.code, shown.out) == (1, "created good\n")
    assert shown.err == (
        f"engine ctl: {bad}: Connector config {{name=bad}} contains no connector type\n"
    )


# ---- changing --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "done", "state"),
    [
        ("pause", "paused", "PAUSED"),
        ("resume", "resumed", "RUNNING"),
        ("stop", "stopped", "STOPPED"),
    ],
)
def test_connectors_are_paused_resumed_and_stopped(
    ctl: Engine, herder: FakeHerder, server: RestServer, action: str, done: str, state: str
) -> None:
    herder.add("a")
    herder.add("b/c")
    assert ctl(action, "a", "b/c").out == f"{done} a\n{done} b/c\n"
    for path in ("a", "b%2Fc"):
        status = server.ask("GET", f"/connectors/{path}/status").json
        assert status["connector"]["state"] == state


def test_connectors_are_deleted_and_unknown_ones_are_said(ctl: Engine, herder: FakeHerder) -> None:
    herder.add("a")
    shown = ctl("delete", "nope", "a")
    assert (shown.code, shown.out) == (4, "deleted a\n")
    assert shown.err == "engine ctl: Connector nope not found\n"
    assert herder.entries == {}


@pytest.mark.parametrize(
    ("flags", "restarted"),
    [
        ((), ["a"]),
        (("--include-tasks",), ["a", "a-0", "a-1"]),
        (("--include-tasks", "--only-failed"), ["a-1"]),
        (("--task", "0"), ["a-0"]),
    ],
)
def test_restart_says_what_it_restarted(
    ctl: Engine, herder: FakeHerder, flags: tuple[str, ...], restarted: list[str]
) -> None:
    herder.add("a", tasks_max="2")
    herder.set_tasks("a", 1, condition="FAILED")
    shown = ctl("restart", "a", *flags)
    assert (shown.code, shown.out) == (0, "".join(f"restarted {name}\n" for name in restarted))
    assert herder.restarted == restarted
    assert json.loads(ctl("restart", "a", *flags, "--json").out) == {"restarted": restarted}


def test_a_restart_that_finds_nothing_says_so(ctl: Engine, herder: FakeHerder) -> None:
    herder.add("a")
    assert ctl("restart", "a", "--only-failed").out == "nothing to restart\n"


# ---- logs ------------------------------------------------------------------------------------


def test_logs_are_readable_and_in_json_as_they_are(
    ctl: Engine, herder: FakeHerder, tmp_path: Path
) -> None:
    herder.add("a")
    log = tmp_path / "a-0.log"
    event = {"timestamp": "2026-11-21T00:00:00Z", "level": "info", "event": "Started", "file": "x"}
    log.write_text(f"{json.dumps(event)}\nplain\n")
    herder.logs[TaskId("a", 0)] = log
    shown = ctl("logs", "a", "--task", "0").out.splitlines()
    assert shown[0] == "2026-11-21T00:00:00Z INFO    [a|task-0] Started file=x"
    assert shown[1].endswith("[a|task-0] plain")
    last = ctl("logs", "a", "--tail", "1", "--json").out
    assert json.loads(last)["event"] == "plain"


def test_following_logs_ends_with_an_interrupt(
    herder: FakeHerder, server: RestServer, tmp_path: Path
) -> None:
    herder.add("a")
    log = tmp_path / "a-0.log"
    log.write_text("first\n")
    herder.logs[TaskId("a", 0)] = log
    command = [sys.executable, "-m", "engine", "ctl", "--url", server.url, "logs", "-f", "a"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().endswith(b"first\n")
        with log.open("a") as file:
            file.write("second\n")
        assert process.stdout.readline().endswith(b"second\n")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert process.stderr.read() == b""


def test_a_closed_pipe_is_no_error(herder: FakeHerder, server: RestServer, tmp_path: Path) -> None:
    herder.add("a")
    log = tmp_path / "a-0.log"
    log.write_text("a line\n" * 10_000)
    herder.logs[TaskId("a", 0)] = log
    command = [sys.executable, "-m", "engine", "ctl", "--url", server.url, "logs", "a"]
    command += ["--tail", "10000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(10) == 0
        assert process.stderr.read() == b""


# ---- what goes wrong -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("status", "nope"),
        ("describe", "nope"),
        ("logs", "nope"),
        ("pause", "nope"),
        ("stop", "nope"),
        ("restart", "nope"),
        ("restart", "nope", "--task", "3"),
    ],
)
def test_an_unknown_connector_has_its_own_exit_code(
    ctl: Engine, arguments: tuple[str, ...]
) -> None:
    shown = ctl(*arguments)
    assert (shown.code, shown.out) == (4, "")
    assert shown.err.startswith("engine ctl: ")
    assert "nope" in shown.err
    assert shown.err.count("\n") == 1


def test_an_engine_that_cannot_be_reached_is_said_in_one_line(engine: Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    shown = engine("ctl", "--url", f"http://127.0.0.1:{port}", "status")
    assert (shown.code, shown.out) == (3, "")
    assert shown.err == (
        f"engine ctl: Cannot reach the engine at http://127.0.0.1:{port}: Connection refused\n"
    )


def test_an_engine_that_does_not_answer_counts_as_unreachable(engine: Engine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        shown = engine("ctl", "status", "--url", url, "--timeout", "0.05")
    assert (shown.code, shown.err) == (3, f"engine ctl: No answer from {url} within 0.05 s\n")


def test_what_is_no_kafka_connect_is_said_in_one_line(engine: Engine) -> None:
    import threading

    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            connection, _ = other.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nno!")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{other.getsockname()[1]}"
        shown = engine("ctl", "--url", url, "list")
        thread.join(10)
    assert (shown.code, shown.err) == (1, f"engine ctl: HTTP 502 Bad Gateway from {url}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("ctl",),
        ("ctl", "status", "--timeout", "never"),
        ("ctl", "logs", "a", "--task", "-1"),
        ("ctl", "apply"),
        ("ctl", "list", "--url", "ftp://x"),
        ("ctl", "list", "--url", "http://x:port"),
        ("ctl", "restart", "a", "--task", "0", "--only-failed"),
        ("bogus",),
        (),
    ],
)
def test_wrong_usage_has_its_own_exit_code(engine: Engine, arguments: tuple[str, ...]) -> None:
    shown = engine(*arguments)
    assert shown.code == 2
    assert shown.err


def test_help_names_the_exit_codes(engine: Engine) -> None:
    for arguments in (("ctl", "--help"), ("ctl", "apply", "--help")):
        shown = engine(*arguments)
        assert shown.code == 0
        assert "exit codes:" in shown.out
        assert "  4    no such connector or task" in shown.out


def test_ctl_imports_nothing_that_is_slow() -> None:
    program = (
        "import sys; from engine.cli.main import main\n"
        "try: main(['ctl', '--url', 'http://127.0.0.1:9', 'status'])\n"
        "except SystemExit: pass\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "80"},
    )
    imported = set(ended.stdout.split())
    assert not imported & {"aiohttp", "confluent_kafka", "structlog", "rich", "prometheus_client"}
