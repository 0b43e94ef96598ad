"""Control groups: what limits tasks better than anything else, where we may make them.

Version 2 where a part of its tree is ours, version 1 where only that exists. Nothing is made before
a task has a limit that needs it: a process that joins a group for memory waits for the kernel some
ten milliseconds, which nobody else need wait for.
"""

import contextlib
import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from engine.model.cgroup_layout import CONTROLLERS, Hierarchy, hierarchies
from engine.model.cgroup_settings import settings
from engine.model.limits import Limits
from engine.model.task_id import TaskId
from engine.supervisor.log import Log
from engine.supervisor.strays import kill

_MOST_MOVES: Final = 20
_LONGEST_NAME: Final = 200
_DELEGATED: Final = ("trusted.delegate", "user.delegate")
"""Extended attributes with which systemd marks what it leaves to a service."""


class CgroupError(Exception):
    """A limit cannot be set; the text says which file refused what."""


class TaskGroup:
    """The groups of one task, one for each tree.

    Attributes:
        directories: where its processes have to join.
        controllers: what they enforce.
    """

    def __init__(self, directories: Mapping[str, tuple[int, Path]]) -> None:
        self._by_controller = directories
        self.directories = tuple(sorted({str(path) for _, path in directories.values()}))
        self.controllers = frozenset(directories)

    def set(self, limits: Limits) -> None:
        """Enforce these.

        Raises:
            CgroupError: one of them cannot be.
        """
        for controller, (version, path) in self._by_controller.items():
            for file, value, is_needed in settings(limits, controller, version):
                if is_needed and not (path / file).exists():  # an older kernel, another scheduler
                    self.controllers -= {controller}
                    break
                try:
                    _write(path / file, value)
                except OSError as error:
                    if is_needed:
                        raise CgroupError(f"{path / file}: {value}: {error.strerror}") from error

    def oom_kills(self) -> int:
        """How many of its processes the kernel has ended for want of memory, ever."""
        version, path = self._by_controller.get("memory", (0, Path()))
        if not version:
            return 0
        file = "memory.events" if version == 2 else "memory.oom_control"
        with contextlib.suppress(OSError, ValueError):
            for line in (path / file).read_text("ascii").splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
        return 0

    def kill(self) -> int:
        """SIGKILL whatever is in it; how many there were, as far as that is known."""
        return sum(_kill_all(Path(directory)) for directory in self.directories)

    def remove(self) -> bool:
        """Remove it; False when something is left in it."""
        return all(_remove(Path(directory)) for directory in self.directories)


class Cgroups:
    """Makes groups for tasks.

    Args:
        log: hears what is not possible.
        data_dir: names our own group beside those of others, where the tree is shared.
        mode: ``auto``, ``off``, or ``on`` to use version 2 though nobody has delegated it.
        layout: the trees that we are in; found out when it is first needed.
    """

    def __init__(
        self,
        log: Log,
        data_dir: Path,
        mode: str = "auto",
        layout: Iterable[Hierarchy] | None = None,
    ) -> None:
        self._log = log
        self._name = f"engine-{zlib.crc32(os.fsencode(data_dir)):08x}"
        self._mode = mode
        self._layout = layout
        self._bases: dict[str, tuple[int, Path]] | None = None
        self._empty: list[TaskGroup] = []

    def group_for(self, task: TaskId, limits: Limits) -> TaskGroup | None:
        """A group that enforces what can be enforced of the limits; None when nothing can.

        Raises:
            CgroupError: it could be, and is refused.
        """
        if not limits.controllers or self._mode == "off":
            return None
        bases = {c: b for c, b in self._prepared().items() if c in limits.controllers}
        if not bases:
            return None
        name = _name_of(task)
        directories = {c: (version, base / name) for c, (version, base) in bases.items()}
        try:
            for _, path in directories.values():
                path.mkdir(exist_ok=True)
        except OSError as error:
            raise CgroupError(f"{error.filename}: {error.strerror}") from error
        group = TaskGroup(directories)
        group.set(limits)
        return group

    def available(self) -> Mapping[str, int]:
        """Controller → version of the tree that has it for us."""
        if self._mode == "off":
            return {}
        return {name: version for name, (version, _) in self._prepared().items()}

    def _prepared(self) -> dict[str, tuple[int, Path]]:
        if self._bases is None:
            self._bases = {}
            for tree in self._layout if self._layout is not None else _own_layout():
                for controller in self._prepare(tree):
                    base = self._base(tree)
                    # version 2 comes first where a controller is in both, which cannot be
                    self._bases.setdefault(controller, (tree.version, base))
        return self._bases

    def _prepare(self, tree: Hierarchy) -> frozenset[str]:
        """Make room for tasks; the controllers that they can have there."""
        path = _above_leaf(Path(tree.path)) if tree.version == 2 else Path(tree.path)
        try:
            if tree.version == 2:
                return _prepare_v2(path) if self._is_ours(path) else frozenset()
            _clean(self._base(tree))
            self._base(tree).mkdir(exist_ok=True)
        except OSError as error:
            self._log.debug("no control groups here", path=tree.path, error=str(error))
            return frozenset()
        return tree.controllers

    def _base(self, tree: Hierarchy) -> Path:
        path = Path(tree.path)
        return _above_leaf(path) / "tasks" if tree.version == 2 else path / self._name

    def _is_ours(self, path: Path) -> bool:
        """Whether whoever runs this machine has left this part of the tree to us."""
        if self._mode == "on" or (os.geteuid() != 0 and os.access(path / "cgroup.procs", os.W_OK)):
            return True
        return is_delegated(path)

    def release(self, group: TaskGroup) -> None:
        """Remove a group, now or when the kernel lets go of it."""
        self._empty.append(group)
        self.tidy()

    def tidy(self) -> None:
        """Remove what could not be removed before; called now and then."""
        self._empty = [group for group in self._empty if not group.remove()]

    def close(self) -> None:
        """Remove everything; the tasks are gone."""
        self.tidy()
        for version, base in set((self._bases or {}).values()):
            _clean(base)
            if version == 1:
                _remove(base)


def is_delegated(path: Path) -> bool:
    """Whether a part of the tree is marked as left to us, or is the root of a container's own.

    The root of the machine's own tree is not: it has no type.
    """
    for name in _DELEGATED:
        with contextlib.suppress(OSError):
            if os.getxattr(path, name) == b"1":
                return True
    return os.path.ismount(path) and (path / "cgroup.type").exists()


def _own_layout() -> tuple[Hierarchy, ...]:
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
        own = Path("/proc/self/cgroup").read_text("utf-8", "surrogateescape")
    except OSError:
        return ()
    return hierarchies(mounts, own)


def _prepare_v2(path: Path) -> frozenset[str]:
    """Move ourselves to a leaf, for a group with processes cannot have limited groups below it."""
    offered = frozenset((path / "cgroup.controllers").read_text("ascii").split())
    wanted = offered.intersection(CONTROLLERS)
    if not wanted:
        return frozenset()
    leaf, tasks = path / "supervisor", path / "tasks"
    leaf.mkdir(exist_ok=True)
    tasks.mkdir(exist_ok=True)
    for _ in range(_MOST_MOVES):  # a fork may be quicker than we
        pids = _pids(path)
        if not pids:
            break
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                _write(leaf / "cgroup.procs", str(pid))
    _clean(tasks)
    return frozenset(c for c in wanted if _enable(path, c) and _enable(tasks, c))


def _above_leaf(path: Path) -> Path:
    """What is delegated, though we or a supervisor in this very process have moved to the leaf.

    Or systemd has put us there (``DelegateSubgroup=supervisor``), where nothing has been made yet.
    """
    above = path.parent
    is_leaf = path.name == "supervisor" and ((above / "tasks").exists() or is_delegated(above))
    return above if is_leaf else path


def _enable(path: Path, controller: str) -> bool:
    try:
        _write(path / "cgroup.subtree_control", f"+{controller}")
    except OSError:
        return False
    return True


def _name_of(task: TaskId) -> str:
    """A directory's name, which no file of a controller has."""
    stem = task.file_stem
    if len(stem) > _LONGEST_NAME:
        stem = f"{stem[:_LONGEST_NAME]}-{zlib.crc32(stem.encode()):08x}"
    return f"task-{stem}"


def _write(path: Path, value: str) -> None:
    with path.open("w", encoding="ascii") as file:
        file.write(value)


def _pids(path: Path) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(pid) for pid in (path / "cgroup.procs").read_text("ascii").split()]
    return []


def _kill_all(path: Path) -> int:
    pids = _pids(path)
    if pids:
        with contextlib.suppress(OSError):  # all at once, and whatever they fork meanwhile
            _write(path / "cgroup.kill", "1")
            return len(pids)
    return sum(kill(pid) for pid in pids)


def _clean(base: Path) -> None:
    """Remove what a supervisor before us has left, as far as it is empty."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(base):
            if entry.name.startswith("task-"):
                _remove(Path(entry.path))


def _remove(path: Path) -> bool:
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
