"""Small disks for tests of disks that are full, or not to be written."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def tmpfs(path: Path, options: str) -> Iterator[None]:
    """A file system of its own."""
    path.mkdir(exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], capture_output=True, check=False
    )
    if made.returncode:
        problem = made.stderr.decode().strip()
        if os.geteuid() == 0 or "CI" in os.environ:  # there it has to work
            pytest.fail(f"no file system could be mounted: {problem}")
        pytest.skip(f"this user may not mount a file system: {problem}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", path], check=True)
