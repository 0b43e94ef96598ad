"""``engine standalone`` as a user starts it: files, a process, its REST API, and what is left.

All processes of a run work in the run's directory, which is how they are found.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import psutil

T = TypeVar("T")

PATIENCE = 30.0
STRINGS = {
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.storage.StringConverter",
}


class Answer(NamedTuple):
    """What the REST API answered; ``body`` is the JSON in it, or the text when it is none."""

    status: int
    body: Any


def wait_for(what: Callable[[], T | None], timeout: float = PATIENCE, every: float = 0.02) -> T:
    """The first true answer. A request that nobody answers yet is none."""
    deadline, pause = time.monotonic() + timeout, threading.Event()
    last: object = None
    while True:
        try:
            found = what()
        except (OSError, psutil.NoSuchProcess) as error:
            last = error
        else:
            if found:
                return found
            last = found
        assert time.monotonic() < deadline, f"not in time; the last answer was {last!r}"
        pause.wait(every)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class RunningEngine:
    """One worker with its files; may be started many times.

    Attributes:
        command: what is executed.
        stdout: the service's log over all starts.
        stderr: what was said about the command line and its files over all starts.
    """

    def __init__(
        self,
        directory: Path,
        worker: Mapping[str, object],
        connectors: Mapping[str, Mapping[str, object]] | None = None,
    ) -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.port = free_port()
        self.data_dir = Path(str(worker.get("engine.data.dir", directory / "data")))
        self.stdout, self.stderr = directory / "stdout", directory / "stderr"
        files = [directory / "worker.properties"]
        listeners = f"http://127.0.0.1:{self.port}"
        given = {"engine.data.dir": self.data_dir, "listeners": listeners, **STRINGS, **worker}
        files[0].write_text(properties(given))
        for name, config in (connectors or {}).items():
            files.append(directory / f"{name}.properties")
            files[-1].write_text(properties({"name": name, **config}))
        self.command = [sys.executable, "-m", "engine", "standalone", *map(str, files)]
        self.process: subprocess.Popen[bytes]

    def start(self, **options: Any) -> None:
        """Execute it; returns at once."""
        with self.stdout.open("ab") as stdout, self.stderr.open("ab") as stderr:
            given = {"stdin": subprocess.DEVNULL, "process_group": 0, **options}
            self.process = subprocess.Popen(
                self.command, cwd=self.directory, stdout=stdout, stderr=stderr, **given
            )

    def wait_ready(self) -> None:
        """Wait until every connector of the command line is planned."""
        wait_for(lambda: self.process.poll() is not None or self.ask("/health").status == 200)
        assert self.process.poll() is None, self.stderr.read_text() + self.stdout.read_text()

    def wait_end(self, timeout: float = PATIENCE) -> int:
        """The exit code."""
        return self.process.wait(timeout)

    def stop(self) -> int:
        """End it in good order; the exit code."""
        self.process.terminate()
        return self.wait_end()

    def kill(self) -> None:
        """SIGKILL to the supervisor alone."""
        self.process.kill()
        self.process.wait()

    # ---- REST ---------------------------------------------------------------------------------

    def ask(
        self, path: str, method: str = "GET", body: object = None, headers: Any = None
    ) -> Answer:
        """One request; ``body`` is sent as JSON unless it is bytes already."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data, method=method,
            headers={"Content-Type": "application/json", **(headers or {})},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return Answer(answer.status, _parsed(answer.read()))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, _parsed(error.read()))

    def task(self, connector: str, number: int = 0) -> dict[str, Any]:
        """What ``/engine/tasks`` says of a task."""
        answer = self.ask(f"/engine/tasks/{connector}/{number}")
        if answer.status != 200:
            raise ConnectionError(f"no task yet: {answer}")
        found: dict[str, Any] = answer.body
        return found

    def wait_condition(self, connector: str, text: str) -> None:
        """Wait until a task says that it waits for something or suffers from it."""
        wait_for(lambda: text in (self.task(connector)["note"] or ""))

    def wait_condition_over(self, connector: str, text: str) -> None:
        """Wait until it does not say so any more."""
        wait_for(lambda: text not in (self.task(connector)["note"] or ""))

    def offsets(self, connector: str) -> list[dict[str, Any]]:
        """Committed offsets."""
        answer = self.ask(f"/connectors/{connector}/offsets")
        assert answer.status == 200, answer
        found: list[dict[str, Any]] = answer.body["offsets"]
        return found

    # ---- the log ------------------------------------------------------------------------------

    def log(self) -> list[dict[str, Any]]:
        """The service's log so far; a line that is no JSON has the level ``raw``."""
        found = []
        for text in self.stdout.read_text("utf-8", "replace").splitlines():
            line = _parsed(text.encode())
            found.append(line if isinstance(line, dict) else {"level": "raw", "event": text})
        return found

    # ---- processes ----------------------------------------------------------------------------

    def pid_of(self, title: str) -> int | None:
        """The child of the supervisor with this title or module, if it lives."""
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):
                if title in " ".join(child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                    return child.pid
        return None

    def survivors(self) -> list[str]:
        """Every process that works in the run's directory."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.cwd() == str(self.directory):
                    found.append(f"{process.pid} {' '.join(process.cmdline())}")
        return found

    @contextlib.contextmanager
    def running(self) -> Iterator["RunningEngine"]:
        """Start it, wait until it is ready, and stop it in the end: nothing is left."""
        with self.ended():
            self.start()
            self.wait_ready()
            yield self
            assert self.stop() == 0
            assert not self.survivors()

    @contextlib.contextmanager
    def ended(self) -> Iterator["RunningEngine"]:
        """In the end nothing is left, whatever happened."""
        try:
            yield self
        finally:
            for text in self.survivors():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(text.split()[0]), signal.SIGKILL)
            if hasattr(self, "process"):
                self.process.wait()


def run_standalone(directory: Path, *files: object) -> "subprocess.CompletedProcess[str]":
    """``engine standalone`` that is to end by itself."""
    command = [sys.executable, "-m", "engine", "standalone", *map(str, files)]
    return subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def properties(config: Mapping[str, object]) -> str:
    """A properties file."""
    return "".join(f"{key}={value}\n" for key, value in config.items())


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
