"""``engine chaos`` as somebody runs it: on an engine of its own, and on one that runs already."""

import contextlib
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.cli.chaos.lines import line, tally, whole_lines
from tests.system.facility import lacks
from tests.system.running_engine import RunningEngine, wait_for

pytestmark = [pytest.mark.system, pytest.mark.broker, pytest.mark.timeout(175)]

LINES = 2000


def chaos(*arguments: object, timeout: float = 170) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "engine", "chaos", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def working_in(directory: Path) -> list[str]:
    """Processes whose command line names a directory."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(directory) in " ".join(process.cmdline()):
                found.append(f"{process.pid} {process.cmdline()}")
    return found


def test_an_engine_of_its_own_is_hurt_and_loses_nothing(tmp_path: Path) -> None:
    """Every record arrives, every task comes back, and no process is left."""
    work, result = tmp_path / "work", tmp_path / "result.json"
    ended = chaos(
        "--minutes", 0.1, "--seed", 1, "--tasks", 4, "--data-dir", work, "--json", result,
        "--kill", "task=4,herder=1,zygote=1", "--stop", 1, "--oom", 1,
        "--patience", 120,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr + ended.stdout
    told = json.loads(result.read_text())
    records = told["records"]
    assert records["written"] > 0
    assert (records["lost"], records["damaged"], records["out_of_order"]) == (0, 0, 0)
    counts = {name: (f["injected"], f["recovered"]) for name, f in told["faults"].items()}
    assert counts == {
        "kill:task": (4, 4), "kill:herder": (1, 1), "kill:zygote": (1, 1), "stop": (1, 1),
        "oom": (1, 1),
    }  # fmt: skip
    assert "0 lost" in ended.stdout
    assert working_in(work) == []
    journal = (work / "disk" / "engine" / "journal" / "events.jsonl").read_text()
    deaths = [event["death"] for event in map(json.loads, journal.splitlines()) if "death" in event]
    assert {"out_of_memory", "unresponsive"} <= {death["exit_class"] for death in deaths}


@pytest.fixture
def engine(tmp_path: Path, kafka: str) -> Iterator[RunningEngine]:
    """Three pairs of source and sink of somebody, with all their lines."""
    connectors: dict[str, dict[str, object]] = {}
    for number in range(3):
        topic = f"lines-{uuid.uuid4().hex[:8]}"
        given = tmp_path / f"in{number}"
        given.write_bytes(b"".join(line(number, n) + b"\n" for n in range(LINES)))
        connectors[f"in{number}"] = {
            "connector.class": "FileStreamSource", "file": given, "topic": topic,
        }  # fmt: skip
        connectors[f"out{number}"] = {
            "connector.class": "FileStreamSink", "file": tmp_path / f"out{number}",
            "topics": topic, "consumer.override.metadata.max.age.ms": 1000,
        }  # fmt: skip
    worker = {"bootstrap.servers": kafka, "engine.restart.delay.ms": 100}
    made = RunningEngine(tmp_path / "engine", worker, connectors)
    with made.running():
        yield made


def url_of(engine: RunningEngine) -> str:
    return f"http://127.0.0.1:{engine.port}"


def test_an_engine_that_runs_is_hurt_as_asked_and_no_more(
    engine: RunningEngine, tmp_path: Path
) -> None:
    supervisor, herder = engine.process.pid, engine.ask("/engine/worker").body["herder_pid"]
    ended = chaos(
        "--url", url_of(engine), "--yes", "--minutes", 0.05, "--kill", "task=4,herder=1", "--json",
        "--patience", 120,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    counts = {name: (f["injected"], f["recovered"]) for name, f in told["faults"].items()}
    assert counts == {"kill:task": (4, 4), "kill:herder": (1, 1)}
    assert told["records"] is None
    tasks = engine.ask("/engine/tasks").body
    assert sum(task["restarts_total"] for task in tasks) == 4
    assert max(task["restarts_total"] for task in tasks) == 1
    worker = engine.ask("/engine/worker").body
    assert (engine.process.poll(), worker["supervisor_pid"]) == (None, supervisor)
    assert worker["herder_pid"] != herder
    for number in range(3):
        output = tmp_path / f"out{number}"
        wait_for(lambda n=number, o=output: tally(n, LINES, whole_lines(o)).is_good, 60)  # type: ignore[misc]


def test_nobody_is_hurt_who_was_not_meant(engine: RunningEngine) -> None:
    before = engine.ask("/engine/tasks").body
    unconfirmed = chaos("--url", url_of(engine), "--minutes", 0.05)
    assert unconfirmed.returncode == 2
    assert "nobody is there to confirm that; give --yes" in unconfirmed.stderr
    refused = chaos("--url", url_of(engine), "--yes", "--broker-restart", 1)
    assert refused.returncode == 2
    assert "the broker may serve others" in refused.stderr
    after = engine.ask("/engine/tasks").body
    assert [task["pid"] for task in after] == [task["pid"] for task in before]


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """An engine on another machine: the pids that it tells are somebody else's here."""

    answers: dict[str, Any] = {}  # noqa: RUF012 (set by the test)

    def do_GET(self) -> None:
        body = json.dumps(self.answers[self.path]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def test_a_pid_that_another_machine_tells_is_not_touched() -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    task = {
        "id": {"connector": "in0", "task": 0}, "pid": bystander.pid, "generation": 1,
        "condition": "RUNNING", "uptime_seconds": 5.0, "since_commit_seconds": 1.0,
        "restarts_total": 0, "trace": None,
    }  # fmt: skip
    worker = {"supervisor_pid": os.getpid(), "herder_pid": bystander.pid, "zygote_pid": None}
    Elsewhere.answers = {"/engine/tasks": [task], "/engine/worker": worker}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=server.serve_forever).start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        ended = chaos("--url", url, "--yes", "--minutes", 0.05, "--kill", 3)
        assert ended.returncode == 3
        assert "are not here: it runs on another machine, or in a container" in ended.stderr
        assert bystander.poll() is None
    finally:
        server.shutdown()
        server.server_close()
        bystander.send_signal(signal.SIGKILL)
        bystander.wait()


FILLS_A_DISK = """
import sys
from pathlib import Path
from engine.cli.chaos.small_disk import NoDiskError, SmallDisk

path, kept = map(Path, sys.argv[1:])
try:
    disk = SmallDisk(path, 2 << 20)
except NoDiskError as error:
    sys.exit(f"NO DISK {error}")
(path / "before").write_bytes(b"kept")
disk.fill()
try:
    (path / "meanwhile").write_bytes(b"lost")
except OSError as error:
    print(error.strerror)
disk.free()
(path / "after").write_bytes(b"x" * 100_000)
disk.close(kept)
print(sorted(each.name for each in path.iterdir()))
"""


@pytest.mark.parametrize("uid", [0, 65534], ids=["root", "nobody"])
def test_a_disk_is_filled_that_nobody_else_sees(uid: int) -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own are their owner's alone
        path, kept = Path(name, "disk"), Path(name, "kept")
        path.mkdir()
        command = [sys.executable, "-c", FILLS_A_DISK, str(path), str(kept)]
        if os.geteuid() == 0:
            for each in (Path(name), path):
                os.chown(each, uid, uid)
            command = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *command]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if "failed to execute" in ended.stderr or "ModuleNotFoundError" in ended.stderr:
            pytest.skip(f"this Python is its owner's alone: {ended.stderr}")
        if ended.stderr.startswith("NO DISK"):
            lacks("a mount namespace", ended.stderr)
        assert ended.stdout == "No space left on device\n[]\n", ended.stderr
        assert sorted(each.name for each in kept.iterdir()) == ["after", "before", "meanwhile"]
        assert (kept / "before").read_bytes() == b"kept"
        assert list(path.iterdir()) == []


def test_who_may_have_no_disk_is_told_and_stays_who_he_is(tmp_path: Path) -> None:
    """Root without capabilities, as in many containers."""
    if os.geteuid() != 0:
        pytest.skip("only root can be without what root has")
    code = (
        "import os, sys; from pathlib import Path\n"
        "from engine.cli.chaos.small_disk import NoDiskError, SmallDisk\n"
        "try: SmallDisk(Path(sys.argv[1]), 1 << 20)\n"
        "except NoDiskError as error: print(error)\n"
        "print(os.getuid())\n"
    )
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c", code]
    ended = subprocess.run([*command, tmp_path], capture_output=True, text=True, check=True)
    told = r"no mount namespace of our own: [A-Z][a-z ]+; run it as root\n0\n"
    assert re.fullmatch(told, ended.stdout), ended.stdout


@pytest.mark.slow
def test_everything_at_once(tmp_path: Path) -> None:
    """The supervisor, the broker and the disk as well."""
    ended = chaos(
        "--minutes", 0.5, "--seed", 5, "--tasks", 4, "--data-dir", tmp_path / "work", "--json",
        "--kill", "task=4,supervisor=1,broker=1", "--disk-full", 1, "--patience", 120,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr + ended.stdout
    told = json.loads(ended.stdout)
    assert told["records"]["lost"] == 0
    assert all(f["injected"] == f["recovered"] > 0 for f in told["faults"].values())
    assert working_in(tmp_path / "work") == []
