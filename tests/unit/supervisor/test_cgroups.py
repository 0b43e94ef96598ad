"""Control groups on trees that tests make: what is written, what is fallen back on."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.model.cgroup_layout import Hierarchy
from engine.model.limits import Limits
from engine.model.task_id import TaskId
from engine.supervisor.cgroups import CgroupError, Cgroups
from engine.supervisor.log import Console, Log
from tests.system.facility import lacks

MIB = 1 << 20
TASK = TaskId("orders", 3)
ALL = Limits(memory_hard=64 * MIB, cpu_quota=0.5, io_weight=200, processes=64)
FILES = {
    "memory": ("memory.max", "memory.swap.max", "memory.oom.group", "memory.events"),
    "cpu": ("cpu.weight", "cpu.max"),
    "io": ("io.weight",),
    "pids": ("pids.max",),
}


class Tree:
    """A directory that looks like a group of version 2; the kernel's part is played by hand."""

    def __init__(self, path: Path, controllers: str = "cpuset cpu io memory pids") -> None:
        self.path = path / "engine.service"
        self.path.mkdir()
        for name, text in {
            "cgroup.controllers": controllers, "cgroup.subtree_control": "", "cgroup.procs": "",
            "cgroup.type": "domain",
        }.items():  # fmt: skip
            (self.path / name).write_text(text)
        self.tasks = self.path / "tasks"
        self.tasks.mkdir()
        (self.tasks / "cgroup.subtree_control").write_text("")

    def group(self, name: str = "task-orders-3") -> Path:
        """A task's group, with the files that the kernel puts into it."""
        path = self.tasks / name
        path.mkdir()
        for files in FILES.values():
            for file in files:
                (path / file).write_text("")
        (path / "cgroup.procs").write_text("")
        return path

    def hierarchy(self) -> Hierarchy:
        return Hierarchy(2, str(self.path))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(Console(os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)), as_json=True)


MakeCgroups = Callable[..., Cgroups]


@pytest.fixture
def make(log: Log) -> MakeCgroups:
    def made(*layout: Hierarchy, mode: str = "on") -> Cgroups:
        return Cgroups(log, Path("/data"), mode, layout)

    return made


def test_a_task_gets_a_group_that_enforces_its_limits(tree: Tree, make: MakeCgroups) -> None:
    path = tree.group()

    group = make(tree.hierarchy()).group_for(TASK, ALL)

    assert group is not None
    assert group.directories == (str(path),)
    assert group.controllers == {"memory", "cpu", "io", "pids"}
    assert {f: (path / f).read_text() for fs in FILES.values() for f in fs} == {
        "memory.max": "67108864", "memory.swap.max": "0", "memory.oom.group": "1",
        "memory.events": "", "cpu.weight": "100", "cpu.max": "50000 100000",
        "io.weight": "default 200", "pids.max": "64",
    }  # fmt: skip


def test_nothing_is_made_for_a_task_that_needs_nothing(tree: Tree, make: MakeCgroups) -> None:
    before = sorted(p.name for p in tree.path.iterdir())

    assert make(tree.hierarchy()).group_for(TASK, Limits(nice=5, memory_soft=64 * MIB)) is None
    assert sorted(p.name for p in tree.path.iterdir()) == before


def test_a_tree_that_is_not_ours_is_left_alone(tree: Tree, make: MakeCgroups) -> None:
    if os.geteuid() != 0:
        pytest.skip("what a user may write to is his")

    assert make(tree.hierarchy(), mode="auto").group_for(TASK, ALL) is None
    assert make(tree.hierarchy(), mode="off").group_for(TASK, ALL) is None
    assert make(tree.hierarchy(), mode="off").available() == {}


def delegate(tree: Tree) -> None:
    """Mark it as systemd does."""
    try:
        os.setxattr(tree.path, "user.delegate", b"1")
    except OSError as error:
        lacks("an extended attribute", str(error))


def test_a_tree_that_systemd_has_delegated_is_ours(tree: Tree, make: MakeCgroups) -> None:
    tree.group()
    delegate(tree)

    assert make(tree.hierarchy(), mode="auto").group_for(TASK, ALL) is not None


def test_only_the_controllers_that_are_delegated_are_used(
    tmp_path: Path, make: MakeCgroups
) -> None:
    tree = Tree(tmp_path, "memory pids")
    tree.group()
    cgroups = make(tree.hierarchy())

    group = cgroups.group_for(TASK, ALL)

    assert group is not None
    assert group.controllers == {"memory", "pids"}
    assert cgroups.available() == {"memory": 2, "pids": 2}


def test_a_limit_that_the_kernel_has_no_file_for_is_seen_to_otherwise(
    tree: Tree, make: MakeCgroups
) -> None:
    path = tree.group()
    (path / "io.weight").unlink()

    group = make(tree.hierarchy()).group_for(TASK, ALL)

    assert group is not None
    assert group.controllers == {"memory", "cpu", "pids"}


def test_a_limit_that_is_refused_is_an_error_with_the_file(tree: Tree, make: MakeCgroups) -> None:
    path = tree.group()
    (path / "memory.max").unlink()
    (path / "memory.max").mkdir()  # cannot be written, whoever tries

    with pytest.raises(CgroupError, match=r"memory\.max: 67108864: Is a directory"):
        make(tree.hierarchy()).group_for(TASK, ALL)


def test_in_version_1_each_controller_has_a_tree(tmp_path: Path, make: MakeCgroups) -> None:
    trees = []
    for name in ("memory", "cpu", "pids"):
        (tmp_path / name).mkdir()
        trees.append(Hierarchy(1, str(tmp_path / name), frozenset({name})))
    cgroups = make(*trees, mode="auto")

    assert cgroups.available() == {"memory": 1, "cpu": 1, "pids": 1}
    group = cgroups.group_for(TASK, Limits(cpu_weight=5, processes=64))

    assert group is not None
    assert [Path(d).parents[1].name for d in group.directories] == ["cpu", "pids"]
    assert group.controllers == frozenset()  # there is no kernel behind these directories
    cgroups.release(group)
    cgroups.close()
    assert [list((tmp_path / name).iterdir()) for name in ("memory", "cpu", "pids")] == [[], [], []]


def test_kills_for_want_of_memory_are_counted_in_both_versions(
    tree: Tree, make: MakeCgroups, tmp_path: Path
) -> None:
    path = tree.group()
    (path / "memory.events").write_text("low 0\nhigh 3\nmax 9\noom 2\noom_kill 2\n")
    group = make(tree.hierarchy()).group_for(TASK, ALL)
    assert group is not None
    assert group.oom_kills() == 2
    (tmp_path / "memory").mkdir()
    first = make(Hierarchy(1, str(tmp_path / "memory"), frozenset({"memory"})))
    old = first.group_for(TASK, Limits(memory_hard=64 * MIB))
    assert old is not None
    control = Path(old.directories[0]) / "memory.oom_control"
    control.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n")

    assert old.oom_kills() == 5


def test_a_group_that_the_kernel_still_holds_is_removed_later(
    tmp_path: Path, make: MakeCgroups
) -> None:
    (tmp_path / "pids").mkdir()
    cgroups = make(Hierarchy(1, str(tmp_path / "pids"), frozenset({"pids"})))
    group = cgroups.group_for(TASK, Limits(processes=64))
    assert group is not None
    path = Path(group.directories[0])
    (path / "busy").touch()

    cgroups.release(group)
    assert path.exists()
    (path / "busy").unlink()
    cgroups.tidy()

    assert not path.exists()


def test_names_of_any_length_and_spelling_are_names_of_directories(
    tmp_path: Path, make: MakeCgroups
) -> None:
    (tmp_path / "pids").mkdir()
    cgroups = make(Hierarchy(1, str(tmp_path / "pids"), frozenset({"pids"})))
    made = [
        cgroups.group_for(TaskId(name, 0), Limits(processes=64))
        for name in ("pids.max", "a/../b", "é" * 900, "é" * 899 + "e")
    ]

    names = {Path(group.directories[0]).name for group in made if group is not None}
    assert len(names) == 4
    assert all(name.startswith("task-") for name in names)


def test_a_supervisor_that_has_moved_to_its_leaf_finds_the_same_tree(
    tree: Tree, make: MakeCgroups
) -> None:
    """As after an upgrade, or when it is the only thing that was restarted."""
    path = tree.group()
    (tree.path / "supervisor").mkdir()

    group = make(Hierarchy(2, str(tree.path / "supervisor"))).group_for(TASK, ALL)

    assert group is not None
    assert group.directories == (str(path),)


def test_a_supervisor_that_systemd_has_put_into_the_leaf_uses_the_whole_service(
    tree: Tree, make: MakeCgroups
) -> None:
    """``DelegateSubgroup=supervisor``: there is no group for tasks before the first start."""
    delegate(tree)
    (tree.path / "supervisor").mkdir()
    (tree.tasks / "cgroup.subtree_control").unlink()
    tree.tasks.rmdir()

    found = make(Hierarchy(2, str(tree.path / "supervisor")), mode="auto").available()

    assert tree.tasks.is_dir()
    assert set(found) == {"cpu", "io", "memory", "pids"}
    assert not (tree.path / "supervisor" / "tasks").exists()
