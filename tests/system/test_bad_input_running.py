"""What a running engine says to keys, files and requests that cannot be meant so.

One engine without a broker answers for the whole module.
"""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.running_engine import RunningEngine, wait_for

pytestmark = pytest.mark.system

SOURCE = {"connector.class": "FileStreamSource", "topic": "t"}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEngine]:
    directory = tmp_path_factory.mktemp("bad")
    worker = {"bootstrap.servers": "127.0.0.1:9", "offset.flush.intervall.ms": 100}
    connectors = {"in": {**SOURCE, "file": directory / "absent.txt", "batchsize": 3}}
    with RunningEngine(directory / "engine", worker, connectors).running() as running:
        yield running
    assert "Traceback" not in running.stdout.read_text()


def ctl(engine: RunningEngine, *arguments: object) -> "subprocess.CompletedProcess[str]":
    url = f"http://127.0.0.1:{engine.port}"
    return subprocess.run(
        [sys.executable, "-m", "engine", "ctl", "--url", url, *map(str, arguments)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


# ---- keys that nobody knows ----------------------------------------------------------------------


def test_an_unknown_worker_key_is_told_on_standard_error(engine: RunningEngine) -> None:
    assert engine.stderr.read_text() == (
        "engine: warning: unknown key offset.flush.intervall.ms, "
        "did you mean offset.flush.interval.ms?\n"
    )


def test_an_unknown_connector_key_is_told_in_the_log(engine: RunningEngine) -> None:
    [line] = [line for line in engine.log() if "batchsize" in line["event"]]
    assert line["event"] == "unknown key batchsize, did you mean batch.size?"
    assert (line["level"], line["connector"]) == ("warning", "in")


def test_an_unknown_connector_key_is_told_to_whoever_validates_or_applies(
    engine: RunningEngine, tmp_path: Path
) -> None:
    config = {**SOURCE, "name": "v", "file": "x", "tasks.mx": "1", "zzzzz": "y"}
    answer = engine.ask("/engine/connector-plugins/FileStreamSource/config/validate", "PUT", config)
    assert answer == (
        200,
        {
            "errors": [],
            "warnings": ["unknown key tasks.mx, did you mean tasks.max?", "unknown key zzzzz"],
        },
    )
    path = tmp_path / "v.json"
    path.write_text(json.dumps(config))
    applied = ctl(engine, "apply", "-f", path)
    assert applied.returncode == 0
    assert "unknown key tasks.mx, did you mean tasks.max?" in applied.stdout + applied.stderr
    assert engine.ask("/connectors/v", "DELETE").status == 204


# ---- files that are not there --------------------------------------------------------------------


def test_a_missing_file_is_waited_for_and_told_everywhere(engine: RunningEngine) -> None:
    """As in Kafka Connect the task runs; what it waits for is told beside its state."""
    path = Path(engine.ask("/connectors/in").body["config"]["file"])
    said = f"file {path} does not exist"
    engine.wait_condition("in", said)
    [state] = engine.ask("/connectors/in/status").body["tasks"]
    assert state["state"] == "RUNNING"
    assert f"in-0: {said}" in ctl(engine, "status").stdout
    wait_for(lambda: [line for line in engine.log() if line.get("condition") == said])
    path.touch()
    engine.wait_condition_over("in", said)
    path.unlink()
    engine.wait_condition("in", said)


def test_an_unreadable_file_is_waited_for(engine: RunningEngine, tmp_path: Path) -> None:
    path = tmp_path / "loop.txt"
    path.symlink_to(path)  # which not even root can read
    engine.ask("/connectors/loop/config", "PUT", {**SOURCE, "file": str(path)})
    said = f"file {path} cannot be read: Too many levels of symbolic links"
    engine.wait_condition("loop", said)
    path.unlink()
    path.touch()
    engine.wait_condition_over("loop", said)
    assert engine.ask("/connectors/loop", "DELETE").status == 204


def test_a_file_that_becomes_a_directory_fails_the_task(
    engine: RunningEngine, tmp_path: Path
) -> None:
    path = tmp_path / "later.txt"
    engine.ask("/connectors/later/config", "PUT", {**SOURCE, "file": str(path)})
    engine.wait_condition("later", "does not exist")
    path.mkdir()
    said = f"Invalid value {path} for configuration file: it is a directory"

    def failed() -> Any:
        [task] = engine.ask("/connectors/later/status").body["tasks"]
        return task if task["state"] == "FAILED" else None

    assert wait_for(failed)["trace"].startswith(f"ConfigError: {said}\n")
    assert engine.task("later")["restarts_total"] == 0
    assert f"later-0: ConfigError: {said}" in ctl(engine, "status").stdout
    assert engine.ask("/connectors/later", "DELETE").status == 204


def test_a_sinks_missing_directory_is_tried_again_until_it_is_there(
    engine: RunningEngine, tmp_path: Path
) -> None:
    path = tmp_path / "folder" / "out.txt"
    config = {
        "connector.class": "FileStreamSink", "file": str(path), "topics": "t",
        "engine.restart.delay.ms": "100", "engine.restart.delay.max.ms": "200",
    }  # fmt: skip
    engine.ask("/connectors/out/config", "PUT", config)
    said = f"RetriableError: file {path} cannot be written: No such file or directory"
    wait_for(lambda: said in (engine.task("out")["reason"] or ""))
    assert said in ctl(engine, "status").stdout
    path.parent.mkdir()
    wait_for(lambda: engine.task("out")["condition"] == "RUNNING")
    assert engine.ask("/connectors/out", "DELETE").status == 204


# ---- requests ------------------------------------------------------------------------------------

NOT_JSON = {"Content-Type": "text/plain"}
INVALID = (
    "Connector configuration is invalid and contains the following 3 error(s):\n"
    "Invalid value 0 for configuration tasks.max: Value must be at least 1\n"
    "Invalid value maybe for configuration errors.tolerance: String must be one of: none, all\n"
    'Missing required configuration "topic" which has no default value.\n'
    "You can also find the above list of errors at the endpoint "
    "`/connector-plugins/{connectorType}/config/validate`"
)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", "/connectors", b'{"name": ', 400, "Malformed JSON: Expecting value at line 1"),
        ("POST", "/connectors", b"\xff", 400, "The request body is not UTF-8 (byte 0)"),
        ("POST", "/connectors", b"", 400, "The request body is empty"),
        ("POST", "/connectors", b"[" * 100_000, 400, "Malformed JSON: nested too deeply"),
        ("POST", "/connectors", [1], 400, "The request body must be a JSON object, not an array"),
        ("POST", "/connectors", {"name": "x"}, 400, 'The request body has no "config"'),
        ("PUT", "/connectors/x/config", {"a": {}}, 400, "The value of a must be a text, not an"),
        (
            "PUT", "/connectors/x/config", {"connector.class": "Nope"}, 400,
            "Failed to find any class that implements Connector and which name matches Nope,",
        ),
        (
            "PUT", "/connectors/x/config",
            {"connector.class": "FileStreamSource", "tasks.max": 0, "errors.tolerance": "maybe"},
            400, INVALID,
        ),
        (
            "PUT", "/connectors/x/config", {"a": "y" * 10_000_000}, 413,
            "The request body is larger than 4194304 bytes",
        ),
        ("GET", "/nowhere", None, 404, "HTTP 404 Not Found"),
        ("GET", "/connectors/none", None, 404, "Connector none not found"),
        ("GET", "/connectors/none/status", None, 404, "No status found for connector none"),
        ("GET", "/connectors/in/tasks/7/status", None, 404, "No status found for task in-7"),
        ("PUT", "/connectors/none/pause", None, 404, "Unknown connector none"),
        ("DELETE", "/", None, 405, "HTTP 405 Method Not Allowed"),
        ("PATCH", "/connectors", {}, 405, "HTTP 405 Method Not Allowed"),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_meant_so_is_answered_in_kafka_connects_form(
    engine: RunningEngine, method: str, path: str, body: object, status: int, message: str
) -> None:
    answer = engine.ask(path, method, body)
    assert answer.status == status
    assert set(answer.body) == {"error_code", "message"}
    assert answer.body["error_code"] == status
    assert answer.body["message"].startswith(message)
    assert "Traceback" not in answer.body["message"]


def test_another_media_type_is_refused(engine: RunningEngine) -> None:
    answer = engine.ask("/connectors", "POST", b"{}", NOT_JSON)
    assert answer == (415, {"error_code": 415, "message": "HTTP 415 Unsupported Media Type"})


def test_what_is_no_http_is_refused_and_hurts_nobody(engine: RunningEngine) -> None:
    with socket.create_connection(("127.0.0.1", engine.port), timeout=10) as sock:
        sock.sendall(b"\x16\x03\x01\x02\x00\x01\r\n\r\n")  # as TLS begins
        answer = sock.recv(4096)
    assert answer.startswith(b"HTTP/1.0 4")
    assert b'{"error_code":4' in answer
    assert engine.ask("/").status == 200
