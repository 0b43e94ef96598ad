"""Clocks of a test's own: a wall clock that can be set, and namespaces for the others."""

import os
import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.system.facility import lacks

_LIBRARY: Final = Path(__file__).with_name("wall_clock.c")


def in_namespaces(options: list[str], script: str, *arguments: str) -> list[str]:
    """A command that runs another in namespaces of its own, after a script.

    Args:
        options: of unshare(1).
        script: of sh; ``$1`` and so on are the arguments.
    """
    probe = subprocess.run(
        ["unshare", *options, "true"], capture_output=True, text=True, check=False
    )
    if probe.returncode:
        lacks("namespaces", probe.stderr.strip())
    shift = f"shift {len(arguments)}; " if arguments else ""
    return ["unshare", *options, "sh", "-ec", f'{script}; {shift}exec "$@"', "sh", *arguments]


class WallClock:
    """One that can be set, for those who are started with its environment."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        library, self._path = directory / "wall_clock.so", directory / "wall_clock"
        compiler = shutil.which("cc")
        if compiler is None:
            lacks("a wall clock of its own", "no C compiler is installed")
        command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(_LIBRARY), "-ldl"]
        subprocess.run(command, check=True, timeout=60)
        self._path.write_bytes(struct.pack("l", 0))
        self.environment: Mapping[str, str] = {
            **os.environ, **environment, "LD_PRELOAD": str(library), "WALL_CLOCK": str(self._path),
        }  # fmt: skip

    def set(self, seconds: int) -> None:
        """So far from the true time."""
        with self._path.open("r+b", buffering=0) as file:
            file.write(struct.pack("l", seconds))
