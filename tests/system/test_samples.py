"""Runs the tests of the unmodified samples where nobody else has their ports and their paths."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.facility import lacks

pytestmark = [pytest.mark.broker, pytest.mark.system]

ROOT = Path(__file__).parents[2]
STATE = Path("/tmp/connect.offsets.d")

INSIDE = """
import fcntl, os, socket, struct, sys
with socket.socket() as sock:
    fcntl.ioctl(sock, 0x8914, struct.pack("16sh", b"lo", 1))  # SIOCSIFFLAGS: up
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@contextlib.contextmanager
def existing(directory: Path) -> Iterator[None]:
    """A directory that something can be mounted on."""
    try:
        directory.mkdir()
    except FileExistsError:
        yield
        return
    try:
        yield
    finally:
        directory.rmdir()


def test_kafka_connects_samples_run_unmodified(tmp_path: Path) -> None:
    who = "" if os.geteuid() == 0 else "--map-root-user"
    ends = "--pid --fork --kill-child --mount-proc"  # with the first process all others end
    alone = f"unshare {who} --net --mount {ends} sh -c".split()
    mount = f'mount -t tmpfs -o mode=700 tmpfs {STATE} && exec "$0" "$@"'
    pytest_inside = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp"]
    tests = [*pytest_inside, str(tmp_path / "inside"), "tests/system/samples.py"]
    with existing(STATE):
        tried = subprocess.run([*alone, mount, "true"], capture_output=True, check=False)
        if tried.returncode:
            lacks("a network and mounts of one's own", tried.stderr.decode().strip())
        command = [*alone, mount, sys.executable, "-c", INSIDE, *tests]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "2 passed" in ran.stdout
