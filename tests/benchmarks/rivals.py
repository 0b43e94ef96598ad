"""Supervisor and circus, as pip installs them: how long until a killed process has a successor.

They live in an environment of their own, made for the run: neither is needed for anything else.
What counts for them is that a new process exists, though it has done nothing yet.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.benchmarks.observer import BenchmarkError, tree_of
from tests.benchmarks.worker import end_all, pause

NAMES: Final = ("supervisor", "circus")
_INSTALLED: Final = ("supervisor==4.3.0", "circus==0.19.0", "setuptools<81")
_COMMAND: Final = "sleep 100000"
_BETWEEN_KILLS: Final = (0.1, 1.1)  # both look about once a second
_TIMEOUT: Final = 60.0

_SUPERVISOR: Final = """[supervisord]
nodaemon=true
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
childlogdir={folder}
minfds=4096
[program:task]
command={command}
process_name=task-%(process_num)d
numprocs={count}
startsecs=0
autorestart=true
"""
_CIRCUS: Final = """[circus]
endpoint = ipc://{folder}/endpoint
pubsub_endpoint = ipc://{folder}/pubsub
[watcher:task]
cmd = {command}
numprocesses = {count}
max_retry = -1
"""


def install(folder: Path) -> Path:
    """Make an environment with both; the folder of its programs."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=120)
    pip = (folder / "bin" / "python", "-m", "pip", "install", "-q", *_INSTALLED)
    subprocess.run(pip, check=True, timeout=300)
    return folder / "bin"


def recovery_times(name: str, programs: Path, folder: Path, count: int, kills: int) -> list[float]:
    """Milliseconds from SIGKILL of one of ``count`` processes to its successor's existence.

    Raises:
        BenchmarkError: the rival did not do its job; the text ends with what it said.
    """
    chance, samples = random.Random(3), []
    with _running(name, programs, folder, count) as pid:
        for _ in range(kills):
            alive = _wait_children(pid, count, frozenset())
            pause(chance.uniform(*_BETWEEN_KILLS))
            victim = chance.choice(sorted(alive))
            killed = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            _wait_children(pid, count, frozenset({victim}))
            samples.append((time.monotonic() - killed) * 1000)
    return samples


@contextmanager
def _running(name: str, programs: Path, folder: Path, count: int) -> Iterator[int]:
    folder.mkdir()
    text = {"supervisor": _SUPERVISOR, "circus": _CIRCUS}[name]
    config = folder / f"{name}.ini"
    config.write_text(text.format(folder=folder, command=_COMMAND, count=count), "utf-8")
    argvs: dict[str, list[str | Path]] = {
        "supervisor": [programs / "supervisord", "-c", config],
        "circus": [programs / "circusd", config],
    }
    with (folder / "output.log").open("wb") as output:
        process = subprocess.Popen(argvs[name], stdout=output, stderr=output, cwd=folder)
    try:
        _wait_children(process.pid, count, frozenset())
        yield process.pid
    except (BenchmarkError, OSError) as error:
        words = (folder / "output.log").read_text("utf-8", "replace")[-2000:]
        raise BenchmarkError(f"{name}: {error}\n{words}") from error
    finally:
        tree = tree_of(process.pid) if process.poll() is None else []
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        end_all(tree)


def _wait_children(pid: int, count: int, but: frozenset[int]) -> frozenset[int]:
    """Wait until there are so many without those; all are."""
    deadline = time.monotonic() + _TIMEOUT
    while len(alive := _children(pid) - but) < count:
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{len(alive)} of {count} processes after {_TIMEOUT:.0f} s")
        pause(0.001)
    return alive


def _children(pid: int) -> frozenset[int]:
    """Of all threads; dead ones that nobody has reaped are among them."""
    found: set[int] = set()
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.update(map(int, thread.read_text("ascii").split()))
    return frozenset(found)
