"""What a task's process sets for itself; in processes of their own, for there is no way back."""

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.api.errors import ConfigError, RetriableError
from engine.model.limits import Limits
from engine.task.confinement import io_level, join, limit
from engine.wire.zygote_message import Confinement

MIB = 1 << 20
FREE = Confinement()


def in_child(check: Callable[[], bool]) -> bool:
    """Whether a forked process finds it so."""
    pid = os.fork()
    if pid == 0:
        code = 2
        try:
            code = 0 if check() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_limits_of_a_process_are_set() -> None:
    def check() -> bool:
        limit(Limits(open_files=99, nice=7, memory_hard=64 * MIB), FREE)
        data = 80 * MIB + (256 << 20)
        return (
            resource.getrlimit(resource.RLIMIT_NOFILE) == (99, 99)
            and os.getpriority(os.PRIO_PROCESS, 0) == 7
            and resource.getrlimit(resource.RLIMIT_DATA) == (data, data)
        )

    assert in_child(check)


def test_what_a_group_enforces_is_left_to_it() -> None:
    def check() -> bool:
        before = resource.getrlimit(resource.RLIMIT_DATA)
        limit(Limits(memory_hard=64 * MIB), Confinement((), ("memory",)))
        return resource.getrlimit(resource.RLIMIT_DATA) == before

    assert in_child(check)


def test_the_kernel_had_better_end_a_task_than_its_supervisor() -> None:
    before = int(Path("/proc/self/oom_score_adj").read_text())

    def check() -> bool:
        limit(Limits(), FREE)
        return int(Path("/proc/self/oom_score_adj").read_text()) == min(1000, before + 200)

    assert in_child(check)


def test_a_limit_that_this_machine_refuses_is_told_with_its_key() -> None:
    def check() -> bool:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        if os.geteuid() == 0:
            os.setuid(65534)  # nobody: root may raise what it likes
        with pytest.raises(ConfigError, match="Invalid value 512 for configuration"):
            limit(Limits(open_files=512), FREE)
        return True

    assert in_child(check)


def test_a_group_is_joined_by_writing_into_it(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.procs").touch()

    join(Confinement((str(tmp_path / "a"), str(tmp_path / "b")), ("memory",)))

    assert [(tmp_path / name / "cgroup.procs").read_text() for name in ("a", "b")] == ["0", "0"]


def test_a_group_that_cannot_be_joined_is_worth_another_try(tmp_path: Path) -> None:
    with pytest.raises(RetriableError, match="gone cannot be joined: No such file or directory"):
        join(Confinement((str(tmp_path / "gone"),), ("memory",)))


@pytest.mark.parametrize(
    ("weight", "level"),
    [(1, 7), (12, 7), (25, 6), (50, 5), (99, 4), (100, 4), (199, 4), (200, 3), (400, 2),
     (10_000, 0)],
)  # fmt: skip
def test_a_weight_for_disks_is_a_level_where_there_are_no_groups(weight: int, level: int) -> None:
    assert io_level(weight) == level
