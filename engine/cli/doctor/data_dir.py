"""Checks of the data directory: the disk below it, and what is kept in it."""

import contextlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from engine.cli.doctor.finding import Finding, ok, problem, warning
from engine.supervisor.instance import intrusion

_LEAST_FREE: Final = 1 << 30
_ALMOST_FULL: Final = 100 << 20
_LEAST_FILES: Final = 10_000
_SLOW_SYNC: Final = 0.1
_SYNCS: Final = 5

_NETWORK: Final = ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "ceph", "glusterfs")
_FLEETING: Final = ("tmpfs", "ramfs", "overlay")


def data_directory(path: Path) -> Iterator[Finding]:
    """Where it is, how full, how fast, and whether its files can be read."""
    place = next(each for each in (path, *path.parents) if each.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        yield problem(
            "data directory", f"{place} cannot be written by this user",
            f"chown -R engine: {path}, or choose another with engine.data.dir",
        )  # fmt: skip
        return
    if path.exists() and (said := intrusion(path)) is not None and not _is_anothers(path):
        said, _, remedy = said.partition(": ")
        yield problem("data directory", said, remedy)
    yield judge_kind(place, _kind_of(place))
    usage = shutil.disk_usage(place)
    yield judge_space(place, usage.free, os.statvfs(place).f_favail)
    yield judge_sync(place, _sync_seconds(place))
    yield judge_databases(path, list(_damaged(path)))


def _is_anothers(path: Path) -> bool:
    """Whether we look, as root, at the directory of an engine that runs as another user."""
    return os.geteuid() == 0 and path.lstat().st_uid != 0


def judge_kind(path: Path, kind: str) -> Finding:
    """SQLite's write-ahead log and our locks need a disk of this machine."""
    if kind in _NETWORK:
        return problem(
            "data directory", f"{path} is on {kind}: locks and databases do not work over networks",
            "choose a local disk with engine.data.dir",
        )  # fmt: skip
    if kind in _FLEETING:
        return warning(
            "data directory", f"{path} is on {kind}, which does not outlive machine or container",
            "choose a disk with engine.data.dir; in a container mount a volume there",
        )  # fmt: skip
    return ok("data directory", f"{path} is on {kind}")


def judge_space(path: Path, free: int, files: int) -> Finding:
    """Logs are bounded, offsets are small; an embedded broker is neither."""
    shown = f"{free / (1 << 30):.1f} GiB are free in {path}"
    remedy = f"free some: du -xh {path} | sort -h | tail"
    if free < _ALMOST_FULL:
        return problem("disk", f"only {free >> 20} MiB are free in {path}", remedy)
    if free < _LEAST_FREE:
        return warning("disk", shown, remedy)
    if 0 < files < _LEAST_FILES:
        return warning("disk", f"only {files:,} more files fit onto the disk of {path}", remedy)
    return ok("disk", shown)


def judge_sync(path: Path, seconds: float | None) -> Finding:
    """Configurations are written through to the disk; a slow one makes the REST API slow."""
    if seconds is None:
        return problem("disk speed", f"nothing can be written in {path}", "look at dmesg | tail")
    if seconds > _SLOW_SYNC:
        return warning(
            "disk speed", f"writing through takes {seconds * 1000:.0f} ms in {path}",
            "choose a faster disk with engine.data.dir",
        )  # fmt: skip
    return ok("disk speed", f"writing through takes {seconds * 1000:.1f} ms")


def judge_databases(path: Path, damaged: list[str]) -> Finding:
    """What is stored can be read."""
    if damaged:
        return problem(
            "databases", "; ".join(damaged),
            "stop the engine and restore them: engine state restore --help",
        )  # fmt: skip
    return ok("databases", f"those in {path} can be read" if path.exists() else "none yet")


def _kind_of(path: Path) -> str:
    best, kind = -1, "unknown"
    real = path.resolve()
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines():
            before, _, after = line.partition(" - ")
            mount = Path(before.split()[4])
            if real.is_relative_to(mount) and len(mount.parts) >= best:
                best, kind = len(mount.parts), after.split()[0]
    return kind


def _sync_seconds(path: Path) -> float | None:
    """The median of some small writes."""
    times = []
    try:
        with tempfile.TemporaryFile(dir=path) as file:
            for _ in range(_SYNCS):
                began = time.monotonic()
                file.write(b"x" * 4096)
                file.flush()
                os.fsync(file.fileno())
                times.append(time.monotonic() - began)
    except OSError:
        return None
    return sorted(times)[_SYNCS // 2]


def _damaged(path: Path) -> Iterator[str]:
    for file in [path / "herder.db", *sorted((path / "offsets").glob("*.db"))]:
        if not file.exists():
            continue
        try:
            with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
                (said,) = database.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as error:
            said = str(error)
        if said != "ok":
            yield f"{file}: {said}"
