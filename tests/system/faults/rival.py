"""Supervisor or circus with programs of ours, as a user sets them up, and what is seen of them."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from tests.system.faults.supervised import all_pids, command_of, is_alive, zombies_of

PATIENCE: Final = 30.0
_SUPERVISOR: Final = """[supervisord]
nodaemon=true
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
childlogdir={folder}
minfds=4096
[unix_http_server]
file={folder}/socket
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{folder}/socket
"""
_SUPERVISOR_PROGRAM: Final = """[program:{name}]
command={command}
process_name={name}-%(process_num)d
numprocs={count}
directory={folder}
autorestart=true
stopwaitsecs={grace}
redirect_stderr=true
stdout_logfile={logs}/{name}.log
"""
_CIRCUS: Final = """[circus]
endpoint=ipc://{folder}/socket
pubsub_endpoint=ipc://{folder}/pubsub
pidfile={folder}/circus.pid
"""
_CIRCUS_PROGRAM: Final = """[watcher:{name}]
cmd={command}
numprocesses={count}
working_dir={folder}
graceful_timeout={grace}
copy_env=true
stdout_stream.class=FileStream
stdout_stream.filename={logs}/{name}.log
stderr_stream.class=FileStream
stderr_stream.filename={logs}/{name}.log
"""


class NotSurvivedError(Exception):
    """What was seen instead of what had to happen."""


@dataclass(frozen=True, slots=True)
class Program:
    """A Python script that is to run for ever.

    Attributes:
        text: behind the imports.
        count: so many processes.
        grace: seconds from the order to stop to SIGKILL.
        settings: more lines for a rival's configuration of it.
        command: what is executed instead; nobody waits until it runs.
        count_text: what the configuration says of the count, if not that.
    """

    text: str = "signal.pause()"
    name: str = "task"
    count: int = 1
    grace: int = 2
    settings: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    count_text: str = ""


def expect(is_so: object, otherwise: str) -> None:
    """Go on only then.

    Raises:
        NotSurvivedError: with the other words.
    """
    if not is_so:
        raise NotSurvivedError(otherwise)


def wait(is_so: Callable[[], object], seconds: float = PATIENCE) -> bool:
    """Whether it becomes true in time."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        watch(0.02)
    return True


def watch(seconds: float) -> None:
    """Let them do, for so long."""
    threading.Event().wait(seconds)


class Rival:
    """One of them with a folder of its own, in which all its processes work.

    Attributes:
        process: the supervisor itself, or what made its namespaces.
    """

    def __init__(self, who: str, programs: Path, folder: Path) -> None:
        self.who = who
        self.folder = folder
        self.logs = folder
        self.prefix: Sequence[str] = ()
        self.environment: Mapping[str, str] = {}
        self._programs = programs
        self._config = folder / f"{who}.ini"
        self.process: subprocess.Popen[bytes]

    def configure(self, *programs: Program) -> None:
        """Write its configuration."""
        head, each_text = {
            "supervisor": (_SUPERVISOR, _SUPERVISOR_PROGRAM),
            "circus": (_CIRCUS, _CIRCUS_PROGRAM),
        }[self.who]
        text = head.format(folder=self.folder)
        for each in programs:
            script = self.folder / each.name
            draft = script.with_suffix(".new")
            imports = "import os, signal, subprocess, sys, time"
            draft.write_text(f"#!{sys.executable} -IS\n{imports}\n{each.text}\n")
            draft.chmod(0o755)
            draft.rename(script)
            text += each_text.format(
                folder=self.folder, logs=self.logs, name=each.name,
                count=each.count_text or each.count,
                grace=each.grace, command=each.command or script,
            )  # fmt: skip
            text += each.settings.get(self.who, "")
        self._config.write_text(text)

    def start(self) -> None:
        """Execute it."""
        name = {"supervisor": ["supervisord", "-c"], "circus": ["circusd"]}[self.who]
        command = [*self.prefix, str(self._programs / name[0]), *name[1:], str(self._config)]
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.folder,
                env={**os.environ, **self.environment}, process_group=0,
            )  # fmt: skip

    def ctl(self, *arguments: str, timeout: float = PATIENCE) -> "subprocess.CompletedProcess[str]":
        """Give an order."""
        own = {
            "supervisor": ["supervisorctl", "-c", str(self._config)],
            "circus": ["circusctl", "--endpoint", f"ipc://{self.folder}/socket", "--timeout", "20"],
        }[self.who]
        command = [str(self._programs / own[0]), *own[1:], *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, check=False, cwd="/"
        )

    def order(self, verb: str, name: str = "task") -> "subprocess.CompletedProcess[str]":
        """stop, start or restart a program; returns when it is done, as far as they wait."""
        if self.who == "supervisor":
            return self.ctl(verb, f"{name}:*")
        return self.ctl(verb, name, "--waiting")

    # ---- what is seen -------------------------------------------------------------------------

    def pids(self, name: str = "task") -> list[int]:
        """Live processes of a program, and what they forked."""
        mark = f"{self.folder}/{name}\0"
        return [pid for pid in all_pids() if mark in command_of(pid) and is_alive(pid)]

    def wait_anew(self, old: Sequence[int], name: str = "task") -> list[int]:
        """As many processes as those were, others among them; all that are alive then."""
        patience = PATIENCE + len(old) / 3

        def came_back() -> bool:
            now = self.pids(name)
            return len(now) >= len(old) and bool(set(now) - set(old))

        came = wait(came_back, patience)
        expect(came, f"is not back after {patience:.0f} s")
        return self.pids(name)

    def marks(self, name: str = "starts") -> list[float]:
        """What programs have written down, a number a line."""
        with contextlib.suppress(FileNotFoundError):
            return [float(line) for line in (self.folder / name).read_text().split()]
        return []

    def said(self) -> str:
        """All that it has logged itself."""
        paths = (self.folder / "output", self.folder / "supervisord.log")
        return "".join(path.read_text("utf-8", "replace") for path in paths if path.exists())

    def survivors(self) -> list[int]:
        """Whatever works in its folder."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.cwd() == str(self.folder) and is_alive(process.pid):
                    found.append(process.pid)
        return found

    # ---- its life -----------------------------------------------------------------------------

    @contextmanager
    def running(self, *programs: Program) -> Iterator["Rival"]:
        """It runs all of them, and ends in good order: nothing is left."""
        self.configure(*programs)
        patience = PATIENCE + sum(each.count for each in programs) / 3
        with self.ended():
            self.start()
            for each in programs:
                if not each.command:
                    up = wait(lambda each=each: len(self.pids(each.name)) >= each.count, patience)  # type: ignore[misc]
                    expect(up, f"did not start {each.name}: {self.said()[-300:]}")
            yield self
            if self.process.poll() is None:
                watch(1)  # one of them does not hear of a signal while it is at something
                expect(not zombies_of(self.process.pid, 10), "leaves zombies")
                self.process.send_signal(signal.SIGTERM)
            self.expect_end()

    def expect_end(self, seconds: float = PATIENCE) -> None:
        """It ends, and so does all that it runs."""
        expect(
            wait(lambda: self.process.poll() is not None, seconds),
            "does not end when it is told to",
        )
        expect(wait(lambda: not self.survivors(), 5), "leaves processes behind")

    @contextmanager
    def ended(self) -> Iterator[None]:
        """In the end nothing is left, whatever happened."""
        try:
            yield
        finally:
            for pid in self.survivors():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if hasattr(self, "process"):
                self.process.kill()
                self.process.wait()
