"""An engine that a command runs: a process group of its own, looked at through its REST API."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from engine.cli.ctl.client import CtlError, RestClient

_ANSWER_TIMEOUT: Final = 1.0
_LOOK: Final = 0.05
_STOP_TIMEOUT: Final = 45.0
_BURY_TIMEOUT: Final = 10.0
_WORDS: Final = 5

_TITLES: Final = {"engine: zygote": "zygote", "kafka.Kafka": "broker"}

_DIE_WITH_PARENT: Final = """\
import os, signal, sys
from engine.wire.prctl import die_with_parent
die_with_parent(signal.SIGTERM)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


class ChildEngineError(Exception):
    """The engine has ended by itself; the text is one line, with its last words."""


@dataclass(slots=True)
class Look:
    """What one look at the engine showed; what was not answered is as it was before."""

    tasks: list[dict[str, Any]] = field(default_factory=list)
    worker: dict[str, Any] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)
    problem: str | None = None


class ChildEngine:
    """``engine standalone --embedded`` as a child. Used by the main thread alone.

    Args:
        files: the worker's configuration file, and the connectors'.
        log: what the engine says is added to it.
        port: the REST API's.
    """

    def __init__(self, files: Sequence[Path], log: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._files = files
        self._log = log
        self._client = RestClient(self.url, _ANSWER_TIMEOUT)
        self._process: subprocess.Popen[bytes] | None = None
        self._family: set[psutil.Process] = set()
        self.look = Look()

    def start(self) -> None:
        """Execute it; it ends when we do, however that comes about."""
        files = [str(path) for path in self._files]
        engine = ("-P", "-m", "engine", "standalone", "--embedded", *files)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                (sys.executable, "-P", "-c", _DIE_WITH_PARENT, str(os.getpid()), *engine),
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, process_group=0,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """The supervisor's."""
        assert self._process is not None, "not started"
        return self._process.pid

    def check(self) -> None:
        """Look whether it still runs.

        Raises:
            ChildEngineError: it has ended.
        """
        if self._process is not None and self._process.poll() is not None:
            raise ChildEngineError(f"the engine ended: {last_words(self._log)}")

    def is_ready(self) -> bool:
        """Whether its REST API answers and every connector was planned.

        Raises:
            ChildEngineError: it has ended.
        """
        self.check()
        with contextlib.suppress(CtlError):
            return bool(self._client.ask("GET", "/health")[0] == 200)
        return False

    def observe(self) -> Look:
        """Ask for the tasks; the processes are counted now and then.

        Raises:
            ChildEngineError: it has ended.
        """
        self.check()
        try:
            tasks = self._client.get("/engine/tasks")
            self.look.tasks = sorted(tasks, key=lambda task: task["type"] == "sink")
            self.look.worker = self._client.get("/engine/worker")
        except CtlError as error:
            self.look.problem = str(error)
        else:
            self.look.problem = None
        return self.look

    def count_processes(self) -> None:
        """Remember every process of the engine, and which is the broker."""
        with contextlib.suppress(psutil.Error):
            family = psutil.Process(self.pid).children(recursive=True)
            self._family = {each for each in self._family if each.is_running()} | set(family)
            for process in family:
                self._name(process)

    def _name(self, process: psutil.Process) -> None:
        with contextlib.suppress(psutil.Error):
            command = " ".join(process.cmdline())
            for title, name in _TITLES.items():
                if title in command:
                    self.look.pids[name] = process.pid

    def kill(self) -> None:
        """SIGKILL to the supervisor alone; what is left of the rest is ended by :meth:`stop`."""
        self.count_processes()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self, is_urgent: Callable[[], bool]) -> Sequence[str]:
        """End it and everything that it started; what did not end in time and had to be killed.

        Args:
            is_urgent: asked again and again; true makes the engine stop at once.
        """
        process = self._process
        if process is None:
            return ()
        if process.poll() is None:
            self.count_processes()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        deadline, has_hurried = time.monotonic() + _STOP_TIMEOUT, False
        while process.poll() is None and time.monotonic() < deadline:
            if is_urgent() and not has_hurried:
                has_hurried = True
                process.terminate()  # the second time means at once
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK)
        self._process = None
        return self._bury(process)

    def _bury(self, process: "subprocess.Popen[bytes]") -> Sequence[str]:
        """Make sure that nothing is left."""
        _, left = psutil.wait_procs(
            self._family, timeout=0 if process.poll() is None else _BURY_TIMEOUT
        )
        stuck = [_described(each) for each in left]
        if process.poll() is None:
            stuck.append(f"the supervisor, pid {process.pid}")
            process.kill()
            process.wait(_BURY_TIMEOUT)
        for each in left:
            with contextlib.suppress(psutil.Error):
                each.kill()
        psutil.wait_procs(left, timeout=_BURY_TIMEOUT)
        return stuck


def _described(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return f"{process.name()}, pid {process.pid}"
    return f"pid {process.pid}"


def last_words(path: Path) -> str:
    """The line of a log that most likely says what went wrong, and where the rest is."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()[-50:]
    except OSError:
        lines = []
    told = [line for line in lines if line.startswith("engine: ") and "warning:" not in line]
    errors = [line for line in lines if " ERROR " in line]
    words = (told or errors or lines)[-1:] or ["it said nothing"]
    return f"{words[0].removeprefix('engine: ')} (see {path})"
