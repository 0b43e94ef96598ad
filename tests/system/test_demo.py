"""``engine demo`` as somebody runs it: real processes, a real broker, real signals."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.cli.demo.compare import count_lines, judge

pytestmark = [pytest.mark.system, pytest.mark.broker]

TIMEOUT = 120.0


class Demo:
    """A demo that runs in a directory of its own; nothing of it outlives the test."""

    def __init__(self, work_dir: Path) -> None:
        self.work_dir = work_dir
        self.family: set[psutil.Process] = set()
        self._output = work_dir.with_name("printed")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "engine", "demo", "--data-dir", str(self.work_dir)]
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [*command, *arguments], stdout=output, stderr=subprocess.STDOUT
            )

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process

    def wait(self) -> str:
        """What it printed until its end."""
        self.process.wait(TIMEOUT)
        return self.printed()

    def printed(self) -> str:
        """What it has printed so far."""
        return self._output.read_text("utf-8")

    def has_printed(self, text: str) -> bool:
        """Whether it has printed this so far."""
        return text in self.printed()

    def until(self, condition: Callable[[], Any]) -> Any:
        """The first true value; the processes there are meanwhile are remembered."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.wait()
            with contextlib.suppress(psutil.Error):
                self.family |= set(psutil.Process(self.process.pid).children(recursive=True))
            with contextlib.suppress(OSError, ValueError):
                found = condition()
                if found:
                    return found
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.1)
        raise AssertionError("the condition never came true")

    def url(self) -> str:
        lines = (self.work_dir / "worker.properties").read_text().splitlines()
        return next(line.partition("=")[2] for line in lines if line.startswith("listeners="))

    def task(self, connector: str) -> Any:
        """The task once records move."""
        with urllib.request.urlopen(f"{self.url()}/engine/tasks", timeout=2) as response:
            tasks = json.load(response)
        for task in tasks:
            is_moving = task["condition"] == "RUNNING" and task["counters"]["records_out"] > 500
            if task["id"]["connector"] == connector and is_moving:
                return task
        return None

    def left(self) -> list[psutil.Process]:
        """What is still there of all processes that were seen."""
        _, left = psutil.wait_procs(self.family, timeout=10)
        return left

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(TIMEOUT)
        for process in self.left():
            with contextlib.suppress(psutil.Error):
                process.kill()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    demo = Demo(tmp_path / "work")
    try:
        yield demo
    finally:
        demo.end()


def test_every_line_of_a_file_arrives_whatever_its_line_ends(demo: Demo, tmp_path: Path) -> None:
    file = tmp_path / "some späte.log"
    lines = [f"line {number} ünïcode €".encode() for number in range(3000)]
    ends = [b"\n", b"\r\n", b"\n", b"\r"]
    data = b"".join(line + ends[i % 4] for i, line in enumerate(lines)) + b"\n\nthe last has no end"
    file.write_bytes(data)
    demo.start("--exit-when-done", str(file))
    demo.until((demo.work_dir / "output.log").exists)
    printed = demo.wait()
    assert demo.process.returncode == 0, printed
    assert printed.splitlines()[-1] == (
        f"all 3,002 lines arrived in order, no duplicates: {file} → {demo.work_dir}/output.log"
    )
    expected = [*lines, b"", b"the last has no end"]
    assert (demo.work_dir / "output.log").read_bytes() == b"".join(e + b"\n" for e in expected)
    assert demo.left() == []
    assert file.read_bytes() == data


def test_killed_tasks_come_back_and_nothing_is_lost(demo: Demo) -> None:
    demo.start()
    for connector in ("demo-sink", "demo-source"):
        pid = demo.until(partial(demo.task, connector))["pid"]
        os.kill(pid, signal.SIGKILL)
        demo.until(partial(demo.has_printed, f"-0: pid {pid} ended: killed by SIGKILL"))
    sent, arrived = demo.work_dir / "input.log", demo.work_dir / "output.log"
    lines = count_lines(sent)
    demo.until(lambda: judge(sent, arrived, lines).is_good)
    demo.process.send_signal(signal.SIGINT)
    demo.wait()
    assert judge(sent, arrived, lines).is_good
    assert demo.left() == []


def test_ctrl_c_leaves_no_process(demo: Demo) -> None:
    demo.start()
    demo.until(lambda: demo.task("demo-sink"))
    demo.process.send_signal(signal.SIGINT)
    printed = demo.wait()
    assert demo.process.returncode == 0, printed
    assert "lines in order" in printed.splitlines()[-1]
    assert demo.left() == []


def test_ctrl_c_before_anything_runs_leaves_no_process(demo: Demo) -> None:
    demo.start("--exit-when-done")
    demo.until((demo.work_dir / "engine.log").exists)
    demo.process.send_signal(signal.SIGINT)
    printed = demo.wait()
    assert demo.process.returncode == 130, printed
    assert demo.left() == []


def test_a_killed_demo_takes_its_engine_along(demo: Demo) -> None:
    demo.start()
    demo.until(lambda: demo.task("demo-sink"))
    demo.process.kill()
    demo.process.wait(TIMEOUT)
    _, left = psutil.wait_procs(demo.family, timeout=40)
    assert left == []


def test_an_engine_that_ends_by_itself_is_told_in_one_line(demo: Demo) -> None:
    demo.start()
    demo.until(lambda: demo.task("demo-sink"))
    supervisor = int((demo.work_dir / "engine" / "lock").read_text())
    os.kill(supervisor, signal.SIGKILL)
    printed = demo.wait()
    assert demo.process.returncode == 1
    assert printed.splitlines()[-1].startswith("engine demo: the engine ended: ")
    assert demo.left() == []


def test_a_taken_port_is_told_and_another_is_chosen(demo: Demo) -> None:
    with contextlib.ExitStack() as stack:
        taken = stack.enter_context(socket.socket())
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # somebody else's is as good as ours
            taken.bind(("127.0.0.1", 8083))
            taken.listen(1)
        demo.start("--exit-when-done", "--lines", "500")
        printed = demo.wait()
    assert demo.process.returncode == 0, printed
    assert "port 8083 is taken" in printed
    assert not demo.url().endswith(":8083")


def test_a_kept_run_goes_on_where_it_ended(demo: Demo) -> None:
    for total in (1000, 2000):
        demo.start("--exit-when-done", "--lines", "1000", "--keep")
        printed = demo.wait()
        assert demo.process.returncode == 0, printed
        assert f"all {total:,} lines arrived in order, no duplicates" in printed


def test_a_task_that_is_given_up_ends_the_wait(demo: Demo, tmp_path: Path) -> None:
    file = tmp_path / "one-line.log"
    file.write_bytes(b"x" * (20 << 20))  # longer than a line may be
    demo.start("--exit-when-done", str(file))
    printed = demo.wait()
    assert demo.process.returncode == 1
    assert "1 of 1 lines are missing" in printed
    assert "demo-source-0 FAILED: ConfigError" in printed
    assert demo.left() == []
