"""The process whose surroundings are judged: the running supervisor, or else this one."""

import contextlib
import os
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CAP_SYS_RESOURCE: Final = 24
_PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """Where limits of tasks could be made.

    Attributes:
        version: 2, 1, or 0 for none.
        path: of the process's own group; None when it cannot be seen.
        controllers: those that groups below it could have.
        is_ours: whether the process may make groups below it.
        most_processes: ``pids.max``; None for no bound.
        most_memory: ``memory.max`` in bytes; None for no bound.
    """

    version: int = 0
    path: Path | None = None
    controllers: frozenset[str] = frozenset()
    is_ours: bool = False
    most_processes: int | None = None
    most_memory: int | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """A process and what bounds it; a limit of None is no bound.

    Attributes:
        name: how a finding speaks of it.
        is_exempt: it may exceed what bounds other users' pipes (CAP_SYS_RESOURCE).
    """

    pid: int
    uid: int
    name: str
    most_files: int | None
    most_processes: int | None
    is_exempt: bool
    group: ControlGroup


def subject_of(pid: int | None) -> Subject:
    """The running supervisor when its pid is known and it is on this machine, else ourselves."""
    if pid is not None and _is_engine(pid):
        return _subject(pid, f"the running engine (pid {pid})")
    return _subject(os.getpid(), "a process started from here")


def _is_engine(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"engine" in (_PROC / str(pid) / "cmdline").read_bytes()
    return False


def _subject(pid: int, name: str) -> Subject:
    status = _status(pid)
    capabilities = int(status.get("CapEff", "0"), 16)
    uid = int(status["Uid"].split()[1])
    files = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
    processes = resource.prlimit(pid, resource.RLIMIT_NPROC)[0]
    is_exempt = bool(capabilities >> _CAP_SYS_RESOURCE & 1)
    return Subject(
        pid=pid,
        uid=uid,
        name=name,
        most_files=_bound(files),
        most_processes=None if is_exempt else _bound(processes),
        is_exempt=is_exempt,
        group=control_group(pid, uid),
    )


def _bound(limit: int) -> int | None:
    return None if limit == resource.RLIM_INFINITY else limit


def _status(pid: int) -> dict[str, str]:
    lines = (_PROC / str(pid) / "status").read_text("utf-8", "replace").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def control_group(pid: int, uid: int) -> ControlGroup:
    """The control group of a process, as far as this process can see it."""
    memberships = _text(_PROC / str(pid) / "cgroup") or ""
    unified = [line[3:] for line in memberships.splitlines() if line.startswith("0::")]
    mount = _mount_of("cgroup2")
    if not unified or mount is None:
        return ControlGroup(version=1 if memberships.strip() else 0)
    path = mount / unified[0].lstrip("/")
    if not path.is_dir():  # of another namespace
        return ControlGroup(version=2)
    return ControlGroup(
        version=2,
        path=path,
        controllers=frozenset((_text(path / "cgroup.controllers") or "").split()),
        is_ours=_is_ours(path, uid),
        most_processes=_number(path / "pids.max"),
        most_memory=_number(path / "memory.max"),
    )


def _is_ours(path: Path, uid: int) -> bool:
    """Whether it was delegated; root may write everywhere, unless the mount is read-only."""
    try:
        is_writable = not os.statvfs(path).f_flag & os.ST_RDONLY
        return is_writable and (uid == 0 or os.stat(path / "cgroup.procs").st_uid == uid)
    except OSError:
        return False


def _mount_of(kind: str) -> Path | None:
    for line in (_text(_PROC / "self" / "mountinfo") or "").splitlines():
        before, _, after = line.partition(" - ")
        if after.split()[:1] == [kind]:
            return Path(before.split()[4])
    return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return None


def _number(path: Path) -> int | None:
    text = (_text(path) or "").strip()
    return int(text) if text.isdecimal() else None
