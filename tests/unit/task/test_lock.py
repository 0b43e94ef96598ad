"""No task ever has two live processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.api.errors import RetriableError
from engine.model.task_id import TaskId
from engine.task.lock import TaskLock

TASK = TaskId("orders", 3)
HOLDER = """
import signal, sys
from pathlib import Path
from engine.model.task_id import TaskId
from engine.task.lock import TaskLock
TaskLock(Path(sys.argv[1]), TaskId("orders", 3)).acquire(5)
print("held", flush=True)
signal.pause()
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "tasks").mkdir()
    return tmp_path


@pytest.fixture
def holder(data_dir: Path) -> Iterator["subprocess.Popen[bytes]"]:
    argv = [sys.executable, "-c", HOLDER, str(data_dir)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_free_lock_is_taken_at_once_and_says_who_holds_it(data_dir: Path) -> None:
    TaskLock(data_dir, TASK).acquire(0)

    assert (data_dir / "tasks" / "orders-3.lock").read_text() == f"{os.getpid()}\n"


def test_a_lock_is_free_again_however_its_holder_ended(
    data_dir: Path, holder: "subprocess.Popen[bytes]"
) -> None:
    holder.kill()
    holder.wait(10)

    TaskLock(data_dir, TASK).acquire(0)


def test_a_predecessor_that_is_still_ending_is_waited_for(
    data_dir: Path, holder: "subprocess.Popen[bytes]"
) -> None:
    began = time.monotonic()
    with subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -TERM {holder.pid}"]):
        TaskLock(data_dir, TASK).acquire(10)

    assert 0.2 < time.monotonic() - began < 8
    assert holder.wait(10) == -signal.SIGTERM


def test_a_predecessor_that_does_not_end_is_killed(
    data_dir: Path, holder: "subprocess.Popen[bytes]"
) -> None:
    TaskLock(data_dir, TASK).acquire(0.1)

    assert holder.wait(10) == -signal.SIGKILL


def test_a_stranger_whose_pid_stands_in_the_file_is_left_alone(
    data_dir: Path, holder: "subprocess.Popen[bytes]"
) -> None:
    """Pids are used again; only who has the file open is a predecessor."""
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (data_dir / "tasks" / "orders-3.lock").write_text(f"{stranger.pid}\n")
        with pytest.raises(RetriableError, match=r"another process holds .*orders-3\.lock"):
            TaskLock(data_dir, TASK).acquire(0.1)
        assert stranger.poll() is None
        assert holder.poll() is None
        stranger.kill()


def test_locks_of_other_tasks_are_no_concern(
    data_dir: Path, holder: "subprocess.Popen[bytes]"
) -> None:
    TaskLock(data_dir, TaskId("orders", 4)).acquire(0)
    TaskLock(data_dir, TaskId("orders/3", 0)).acquire(0)

    assert holder.poll() is None
