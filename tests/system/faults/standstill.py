"""Disks that stand still, and groups that take no further process."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.system.facility import lacks
from tests.system.running_engine import wait_for


@contextlib.contextmanager
def frozen_disk(directory: Path) -> Iterator[Callable[[], Path]]:
    """Freezes a file system of its own: whoever writes to it then waits beyond any signal."""
    image, folder = directory / "image", directory / "mounted"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    try:
        for command in (["mkfs.ext4", "-q", image], ["mount", "-o", "loop", image, folder]):
            subprocess.run(list(map(str, command)), check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        lacks("a file system that can be frozen", str(error))

    def freeze() -> Path:
        subprocess.run(["fsfreeze", "--freeze", folder], check=True)
        return folder

    try:
        yield freeze
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", folder], check=False, capture_output=True)
        wait_for(lambda: not subprocess.run(["umount", folder], check=False).returncode)


@contextlib.contextmanager
def full_group() -> Iterator[Callable[[int], Path]]:
    """Puts a process into a group that takes no further one; its ``pids.max`` is the test's."""
    made: list[Path] = []

    def confine(pid: int) -> Path:
        for base in (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup")):
            group = base / f"engine-test-{pid}"
            with contextlib.suppress(OSError):
                group.mkdir()
                made.append(group)
                (group / "pids.max").write_text("1")
                (group / "cgroup.procs").write_text(str(pid))
                return group
        return lacks("a control group that bounds processes", "neither version can be written to")

    yield confine
    for group in made:
        wait_for(lambda group=group: _is_removed(group))  # type: ignore[misc]


def _is_removed(group: Path) -> bool:
    try:
        group.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
