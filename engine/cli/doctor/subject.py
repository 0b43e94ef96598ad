"""The process whose surroundings are judged: the running supervisor, or else this one."""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from engine.model.cgroup_layout import CONTROLLERS, hierarchies
from engine.supervisor.cgroups import is_delegated

_CAP_SYS_RESOURCE: Final = 24
_PROC: Final = Path("/proc")
_LEAF: Final = "supervisor"


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """Where limits of tasks could be made, by the rules of :mod:`engine.supervisor.cgroups`.

    Attributes:
        is_there: whether there are control groups at all.
        controllers: controller → version of the tree in which the process may use it.
        path: of the process's own group in version 2; None when it cannot be seen.
        most_processes: ``pids.max``; None for no bound.
        most_memory: ``memory.max`` in bytes; None for no bound.
    """

    is_there: bool = False
    controllers: Mapping[str, int] = field(default_factory=dict)
    path: Path | None = None
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
    _, files = _limits(pid, "Max open files")
    processes, _ = _limits(pid, "Max processes")
    is_exempt = bool(capabilities >> _CAP_SYS_RESOURCE & 1)
    return Subject(
        pid=pid,
        uid=uid,
        name=name,
        most_files=files,
        most_processes=None if is_exempt else processes,
        is_exempt=is_exempt,
        group=control_group(pid, uid),
    )


def _limits(pid: int, name: str) -> tuple[int | None, int | None]:
    """The soft and the hard limit, None for none; of others' processes too, unlike prlimit(2)."""
    for line in (_PROC / str(pid) / "limits").read_text("ascii").splitlines():
        if line.startswith(f"{name} "):
            soft, hard = line.removeprefix(name).split()[:2]
            return _bound(soft), _bound(hard)
    raise OSError(f"/proc/{pid}/limits does not tell {name}")


def _bound(text: str) -> int | None:
    return None if text == "unlimited" else int(text)


def _status(pid: int) -> dict[str, str]:
    lines = (_PROC / str(pid) / "status").read_text("utf-8", "replace").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def control_group(pid: int, uid: int) -> ControlGroup:
    """The control groups of a process, as far as this process can see them."""
    own = _text(_PROC / str(pid) / "cgroup") or ""
    trees = hierarchies(_text(_PROC / "self" / "mountinfo") or "", own)
    found: dict[str, int] = {}
    unified = None
    for tree in trees:
        path = Path(tree.path)
        if not path.is_dir():  # of another namespace
            continue
        if tree.version == 2:
            unified = path.parent if path.name == _LEAF else path
            offered = frozenset((_text(unified / "cgroup.controllers") or "").split())
            controllers = offered.intersection(CONTROLLERS) if _is_ours(unified, uid) else ()
        else:
            controllers = tree.controllers if _is_writable(path, uid) else ()
        for name in controllers:
            found.setdefault(name, tree.version)
    return ControlGroup(
        is_there=bool(trees),
        controllers=found,
        path=unified,
        most_processes=None if unified is None else _number(unified / "pids.max"),
        most_memory=None if unified is None else _number(unified / "memory.max"),
    )


def _is_writable(path: Path, uid: int) -> bool:
    """Whether this user may make groups there; root may, unless the mount is read-only."""
    try:
        is_read_only = os.statvfs(path).f_flag & os.ST_RDONLY
        return not is_read_only and (uid == 0 or (path / "cgroup.procs").stat().st_uid == uid)
    except OSError:
        return False


def _is_ours(path: Path, uid: int) -> bool:
    """Whether the tree was left to us: given to our user, or marked, or a container's own."""
    if not _is_writable(path, uid):
        return False
    return uid != 0 or is_delegated(path)


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return None


def _number(path: Path) -> int | None:
    text = (_text(path) or "").strip()
    return int(text) if text.isdecimal() else None
