"""Small disks for tests of disks that are full, or not to be written."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.system.facility import lacks


@contextlib.contextmanager
def tmpfs(path: Path, options: str) -> Iterator[None]:
    """A file system of its own."""
    path.mkdir(exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], capture_output=True, check=False
    )
    if made.returncode:
        lacks("a file system of its own", made.stderr.decode().strip())
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", path], check=True)
