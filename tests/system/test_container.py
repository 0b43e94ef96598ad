"""The engine as a container runs it: process 1, no capability, a read-only world, a filter."""

import errno
import os
import platform
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.system.facility import lacks
from tests.system.faults.supervised import SupervisedEngine, is_alive, zombies_of
from tests.system.running_engine import wait_for

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]
CONVERTERS = "key.converter=StringConverter\nvalue.converter=StringConverter\n"
PIDFD_OPEN, PIDFD_SEND_SIGNAL = 434, 424

CONTAINER = textwrap.dedent("""
    set -e
    mount --make-rprivate /
    mount --bind "$1" "$1"
    mount -t proc proc /proc
    for each in $(awk '$3 ~ /^cgroup/ { print $2 }' /proc/self/mounts); do
        mount -o remount,ro,bind "$each"
    done
    mount -o remount,ro,bind /
    cd "$1"
    shift
    exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
""")
"""As ``--read-only --cap-drop ALL --security-opt no-new-privileges`` with one volume."""


class Container(SupervisedEngine):
    """``process`` is what made the namespaces; the engine is its child, and 1 for itself."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, connectors={"calm": {"tasks_max": 2}})
        spaces = ["--fork", "--pid", "--mount", "--ipc", "--uts", "--cgroup", "--kill-child"]
        inside = ["sh", "-c", CONTAINER, "sh", str(directory)]
        self.command = ["unshare", *spaces, *inside, *self.command]

    @property
    def engine(self) -> int:
        """Its pid as we see it."""
        (child,) = psutil.Process(self.process.pid).children()
        return child.pid

    def execute(self, script: str) -> "subprocess.CompletedProcess[str]":
        """As ``docker exec`` does it: beside the engine, not below it."""
        command = ["nsenter", "-t", str(self.engine), "-m", "-p", "-C", "sh", "-c", script]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """In the end SIGTERM to process 1 stops it in good order."""
    if os.geteuid() != 0:
        lacks("namespaces", "only root makes them without asking")
    made = Container(tmp_path_factory.mktemp("container") / "volume")
    with made.ended():
        made.start()
        made.wait_ready()
        for number in range(2):
            made.wait_state("calm", "RUNNING", number)
        yield made
        below = [each.pid for each in psutil.Process(made.engine).children(recursive=True)]
        os.kill(made.engine, signal.SIGTERM)
        assert made.wait_end() == 0
        assert not any(is_alive(pid) for pid in below)
        assert [line.get("reason") for line in made.log()].count("stopped, exit code 0") == 2


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def test_it_is_process_one_without_capabilities_and_tasks_come_back(container: Container) -> None:
    status = status_of(container.engine)
    assert status["NSpid"].split()[-1] == "1"
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert container.ask("/engine/worker").body["supervisor_pid"] == 1
    task = container.task("calm")
    container.execute(f"kill -9 {task['pid']}")
    after = container.wait_anew("calm", task)
    assert after["restarts"] == {"killed": 1}


def test_process_one_reaps_what_others_leave_behind(container: Container) -> None:
    left = container.execute("sh -c 'sleep 0.3 & echo $!'").stdout.strip()
    assert left.isdigit()
    wait_for(lambda: not container.execute(f"ls -d /proc/{left} 2>/dev/null || true").stdout)
    assert zombies_of(container.engine) == []
    assert container.task("calm")["condition"] == "RUNNING"


def test_the_doctor_says_what_a_container_lacks(container: Container) -> None:
    worker = container.directory / "worker.properties"
    found = container.execute(f"{sys.executable} -m engine doctor {worker} || true").stdout
    lines = {line.split()[0]: line for line in found.splitlines() if line.strip()}
    assert "warning" in lines["cgroup"]
    assert "ok" in lines["pidfd"].split()
    assert "ok" in lines["memfd"].split()


@pytest.mark.parametrize(
    ("error", "number", "call"),
    [
        (errno.EPERM, PIDFD_OPEN, "pidfd_open"),
        (errno.ENOSYS, PIDFD_OPEN, "pidfd_open"),
        (errno.EPERM, PIDFD_SEND_SIGNAL, "pidfd_send_signal"),
    ],
)
def test_a_filter_of_system_calls_that_refuses_pidfd_is_named(
    tmp_path: Path, error: int, number: int, call: str
) -> None:
    worker = tmp_path / "worker.properties"
    worker.write_text(f"engine.data.dir={tmp_path}/data\n")
    ended = filtered(error, number, "standalone", str(worker))
    assert ended.returncode == 1
    release = platform.release()
    assert ended.stderr == (
        f"engine: {call} is refused ({os.strerror(error)}) although this is Linux {release}: a"
        " filter of system calls (seccomp) is in the way; allow pidfd_open, pidfd_send_signal and"
        " waitid, or use a newer container runtime\n"
    )
    assert not (tmp_path / "data").exists()


def test_the_doctor_names_the_filter_too(tmp_path: Path) -> None:
    ended = filtered(errno.EPERM, PIDFD_SEND_SIGNAL, "doctor", "--url", "http://127.0.0.1:9")
    assert ended.returncode == 3
    assert "pidfd is refused (EPERM) by a filter of system calls" in ended.stdout
    assert "docker run --security-opt seccomp=" in ended.stdout


def filtered(error: int, number: int, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tests.system.filtered", str(error), str(number), "--",
         sys.executable, "-m", "engine", *command],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_a_user_without_a_home_is_told_what_to_set(tmp_path: Path) -> None:
    worker = tmp_path / "worker.properties"
    worker.write_text(f"{CONVERTERS}listeners=http://127.0.0.1:0\n")
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_STATE_HOME")}
    command = [sys.executable, "-m", "engine", "standalone", str(worker)]
    if os.geteuid() == 0:
        command = ["unshare", "--user", "--map-user=12345", *command]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env=environment
    )
    assert ended.returncode == 2
    assert ended.stderr.endswith(
        "engine: this user has no home directory to keep state in: set engine.data.dir\n"
    )
