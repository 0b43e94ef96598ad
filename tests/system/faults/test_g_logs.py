"""G. Logs: last words are kept, nobody waits for a reader or a disk, and what is lost is told."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.system.disk import tmpfs
from tests.system.faults.supervised import PLUGINS, SupervisedEngine, children_of, kill
from tests.system.running_engine import wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupervisedEngine]:
    """One that keeps all that is printed."""
    worker = {"engine.log.max.bytes.per.second": 0}
    with SupervisedEngine(tmp_path_factory.mktemp("engine"), worker).running() as engine:
        assert isinstance(engine, SupervisedEngine)
        yield engine


def log_of(engine: SupervisedEngine, task: str) -> list[dict[str, Any]]:
    """A task's log, the older files first; every line of it is JSON."""
    base = engine.data_dir / "logs" / f"{task}.log"
    found: list[dict[str, Any]] = []
    for path in (Path(f"{base}.2"), Path(f"{base}.1"), base):
        with suppress(FileNotFoundError):
            whole, _, _ = path.read_bytes().rpartition(b"\n")  # the last one may be under way
            found += [json.loads(line) for line in whole.splitlines()]
    return found


def texts_of(engine: SupervisedEngine, task: str) -> list[str]:
    return [str(line["event"]) for line in log_of(engine, task)]


# ---- F58: a full disk ------------------------------------------------------------------------


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Not a byte is left on it meanwhile."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        size = 1 << 20
        while size:
            try:
                file.write(b"\0" * size)
            except OSError:
                size //= 2
    yield
    ballast.unlink()


def test_f58_tasks_run_and_are_restarted_on_a_full_disk_and_what_was_lost_is_told(
    own_engine: Callable[..., SupervisedEngine], tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    with tmpfs(disk, "size=8m"):
        worker = {"engine.data.dir": disk / "data"}
        engine = own_engine(worker=worker, connectors={"a": {"chatters": 1}, "b": {}})
        with engine.running():
            task, other = engine.wait_state("a", "RUNNING"), engine.wait_state("b", "RUNNING")
            with full(disk):
                wait_for(lambda: engine.task("a")["log_lost_bytes"])
                for _ in range(3):
                    kill(task["pid"], signal.SIGKILL)
                    task = engine.wait_anew("a", task)
                engine.order("b-0", "fail_in_a_thread RetriableError odd")
                wait_for(lambda: engine.is_taken("b-0"))
                worker_view = wait_for(lambda: _with_problems(engine))
                assert engine.task("b")["pid"] == other["pid"]
                status = engine.ask("/connectors/a/status").body["tasks"][0]
                assert status["state"] == "RUNNING"
            assert any("journal" in each and "No space" in each for each in worker_view)
            assert any("logs of" in each and "No space" in each for each in worker_view)

            wait_for(lambda: not engine.ask("/engine/worker").body["problems"])
            lost = [t for t in texts_of(engine, "a-0") if "bytes of this log were lost" in t]
            assert "No space left on device" in lost[-1]
            metrics = engine.ask("/metrics").body
            assert re.search(r'engine_task_log_lost_bytes_total\{connector="a",task="0"\} [1-9]',
                             metrics)  # fmt: skip
            deaths = wait_for(lambda: _deaths(engine, 3))
            assert [each["death"]["signal"] for each in deaths] == [9, 9, 9]


def _with_problems(engine: SupervisedEngine) -> list[str]:
    problems: list[str] = engine.ask("/engine/worker").body["problems"]
    return problems if len(problems) > 1 else []


def _deaths(engine: SupervisedEngine, count: int) -> list[dict[str, Any]]:
    """Deaths of a-0 that the journal tells of, once there are so many."""
    body = engine.ask("/engine/events?connector=a&task=0&event=exited").body
    lines = body.splitlines() if isinstance(body, str) else [json.dumps(body)]
    return [json.loads(line) for line in lines] if len(lines) == count else []


# ---- F59: floods -----------------------------------------------------------------------------


def test_f59_a_flood_is_cut_short_and_nobody_waits_for_it(
    own_engine: Callable[..., SupervisedEngine],
) -> None:
    worker = {
        "engine.log.max.bytes.per.second": 50_000, "engine.log.retention.bytes": 900_000,
        "engine.heartbeat.timeout.ms": 60_000,
    }  # fmt: skip
    engine = own_engine(worker=worker, connectors={"loud": {}, "calm": {}})
    with engine.running():
        loud, calm = engine.wait_state("loud", "RUNNING"), engine.wait_state("calm", "RUNNING")
        engine.order("loud-0", "flood 100000000")
        wait_for(lambda: engine.task("loud")["log_lost_bytes"])
        for _ in range(3):
            kill(calm["pid"], signal.SIGKILL)
            calm = engine.wait_anew("calm", calm)
        engine.check_promises()

        engine.order("loud-0", "print_and_die last words")
        wait_for(lambda: engine.is_taken("loud-0"), 90)
        assert engine.wait_anew("loud", loud)["restarts_total"] == 1
        texts = texts_of(engine, "loud-0")
        assert texts.count("last words") == 500  # whatever came before
        assert any(text.endswith("dropped: more than 50000 bytes a second") for text in texts)
        files = list((engine.data_dir / "logs").glob("loud-0.log*"))
        assert sum(path.stat().st_size for path in files) <= 900_000


def test_f59_a_flood_waits_where_nothing_may_be_lost(
    own_engine: Callable[..., SupervisedEngine],
) -> None:
    worker = {
        "engine.log.max.bytes.per.second": 400_000, "engine.log.overflow": "block",
        "engine.heartbeat.timeout.ms": 60_000,
    }  # fmt: skip
    engine = own_engine(worker=worker, connectors={"loud": {}})
    with engine.running():
        engine.wait_state("loud", "RUNNING")
        engine.order("loud-0", "flood 4000000")
        wait_for(lambda: "the flood is over" in texts_of(engine, "loud-0"), 60)
        assert texts_of(engine, "loud-0").count("x" * 199) == 20_000
        assert engine.task("loud")["log_lost_bytes"] == 0


# ---- F60: a reader that fails ----------------------------------------------------------------

READER = """
import asyncio, os, subprocess, sys
from pathlib import Path
from engine.supervisor.log import Console, Log
from engine.supervisor.log_pipe import LogPipe

class Failing(LogPipe):
    failures = 2

    def _split(self, data):
        if self.failures:
            self.failures -= 1
            raise MemoryError
        super()._split(data)

async def main():
    log = Log(Console(1), as_json=True)
    pipe = Failing(log, {"connector": "c", "task": 0}, Path(sys.argv[1]))
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "for n in range(50_000): print('line', n)", stdout=pipe.write_fd)
    assert await asyncio.wait_for(writer.wait(), 60) == 0
    pipe.drain()
    print(pipe.dropped, file=sys.stderr)
    pipe.close()

asyncio.run(main())
"""


def test_f60_a_reader_without_memory_for_a_moment_stops_nobody(tmp_path: Path) -> None:
    """The writer has more to say than a pipe holds; it would wait for ever."""
    path = tmp_path / "log"
    ended = subprocess.run(
        [sys.executable, "-c", READER, path], capture_output=True, text=True, timeout=90, check=True
    )
    dropped = int(ended.stderr)
    lines = [json.loads(line)["event"] for line in path.read_text().splitlines()]

    assert lines[-1] == "line 49999"
    everything = sum(len(f"line {n}\n") for n in range(50_000))
    kept = sum(len(line) + 1 for line in lines)
    assert dropped > 0
    assert 0 <= everything - dropped - kept <= 2  # the end of a lost line may be empty
    assert ended.stdout.count("output was not understood") == 2


# ---- F61, F62: last words --------------------------------------------------------------------


def test_f61_what_a_task_printed_right_before_its_death_is_in_its_log(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name)
    task = engine.wait_state(name, "RUNNING")

    engine.order(f"{name}-0", "print_and_die last words")
    engine.wait_anew(name, task)

    texts = texts_of(engine, f"{name}-0")
    assert texts.count("last words") == 500
    assert "half a li" in texts


def test_f62_odd_bytes_long_lines_and_halves_of_lines_leave_a_log_that_machines_can_read(
    engine: SupervisedEngine, name: str
) -> None:
    engine.create(name)
    task = engine.wait_state(name, "RUNNING")
    engine.order(f"{name}-0", "print_oddly")
    engine.wait_anew(name, task)

    lines = [line for line in log_of(engine, f"{name}-0") if line["logger"] == "output"]
    texts = [line["event"] for line in lines]
    assert texts[:3] == ["caf\\xe9 \x1b[31mred\x1b[0m", "\\xff\\xfe", "\0nul"]
    pieces = [line for line in lines if line.get("cut") == "length"]
    assert len(pieces) > 100
    assert "long " + "y" * 10_000_000 in "".join(texts)
    assert texts[-2:] == ['{"event": "no event of ours"}', '{"half": ']
    assert lines[-1]["cut"] == "end"
    told = [line for line in engine.log() if line.get("connector") == name]
    assert len([line for line in told if line.get("logger") == "output"]) == len(lines)


# ---- F63: logrotate --------------------------------------------------------------------------


def test_f63_a_log_that_is_moved_or_removed_goes_on_and_loses_nothing(
    engine: SupervisedEngine, name: str, tmp_path: Path
) -> None:
    engine.create(name, chatters=1)
    task = engine.wait_state(name, "RUNNING")
    path = engine.data_dir / "logs" / f"{name}-0.log"

    def has_lines() -> bool:
        return path.exists() and path.stat().st_size > 1000

    moved = [tmp_path / f"moved-{number}" for number in range(3)]
    for number, target in enumerate(moved):
        wait_for(has_lines)
        path.rename(target)
        if number == 1:
            kill(engine.process.pid, signal.SIGUSR1)
    wait_for(has_lines)
    engine.put(f"/connectors/{name}/stop")
    wait_for(lambda: task["pid"] not in children_of(engine.process.pid))

    texts = [
        json.loads(line)["event"]
        for each in (*moved, path)
        for line in each.read_text().splitlines()
    ]
    words = [int(text.split()[1]) for text in texts if text.startswith("word ")]
    assert words == list(range(len(words)))
    assert len(words) > 100
    path.unlink()
    engine.put(f"/connectors/{name}/resume")
    wait_for(lambda: path.exists() and "word 0" in path.read_text())
    assert engine.process.poll() is None


# ---- the console -----------------------------------------------------------------------------


def test_a_console_that_nobody_reads_stops_nobody(
    own_engine: Callable[..., SupervisedEngine],
) -> None:
    """F59's cousin: the terminal is stopped, the service is not."""
    engine = own_engine(connectors={"loud": {"poll_ms": 1}})
    read_fd, write_fd = os.pipe()
    with engine.stderr.open("ab") as stderr:
        engine.process = subprocess.Popen(
            engine.command, cwd=engine.directory, stdin=subprocess.DEVNULL, stdout=write_fd,
            stderr=stderr, process_group=0, env={**os.environ, "PYTHONPATH": str(PLUGINS)},
        )  # fmt: skip
    os.close(write_fd)
    wait_for(lambda: engine.ask("/health").status == 200)
    task = engine.wait_state("loud", "RUNNING")
    for _ in range(6):
        engine.order("loud-0", "print_and_die " + "x" * 3000)
        task = engine.wait_anew("loud", task)
    wait_for(lambda: engine.ask("/engine/worker").body["lost"]["console_bytes"])
    kill(task["pid"], signal.SIGKILL)
    engine.wait_anew("loud", task)
    assert engine.stop() == 0
    os.close(read_fd)
