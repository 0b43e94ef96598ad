"""What is written into the files of control groups, of both versions."""

import pytest

from engine.model.cgroup_settings import Setting, settings
from engine.model.limits import Limits

MIB = 1 << 20


@pytest.mark.parametrize(
    ("controller", "version", "limits", "written"),
    [
        ("memory", 2, Limits(memory_hard=64 * MIB),
         {"memory.max": "67108864", "memory.swap.max": "0", "memory.oom.group": "1"}),
        ("memory", 2, Limits(), {"memory.max": "max", "memory.swap.max": "max",
                                 "memory.oom.group": "1"}),
        ("memory", 1, Limits(memory_hard=64 * MIB),
         {"memory.limit_in_bytes": "67108864", "memory.memsw.limit_in_bytes": "67108864"}),
        ("cpu", 2, Limits(cpu_weight=300, cpu_quota=1.5),
         {"cpu.weight": "300", "cpu.max": "150000 100000"}),
        ("cpu", 2, Limits(cpu_quota=0.0001), {"cpu.weight": "100", "cpu.max": "1000 100000"}),
        ("cpu", 2, Limits(cpu_weight=50), {"cpu.weight": "50", "cpu.max": "max"}),
        ("cpu", 1, Limits(cpu_weight=200, cpu_quota=0.25),
         {"cpu.shares": "2048", "cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "25000"}),
        ("cpu", 1, Limits(cpu_weight=1),
         {"cpu.shares": "10", "cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "-1"}),
        ("io", 2, Limits(io_weight=700), {"io.weight": "default 700"}),
        ("io", 1, Limits(io_weight=7000), {"blkio.bfq.weight": "1000"}),
        ("pids", 2, Limits(processes=64), {"pids.max": "64"}),
        ("pids", 1, Limits(), {"pids.max": "max"}),
    ],
)  # fmt: skip
def test_limits_are_written_in_the_words_of_the_version(
    controller: str, version: int, limits: Limits, written: dict[str, str]
) -> None:
    last = {setting.file: setting.value for setting in settings(limits, controller, version)}

    assert last == written


def test_swap_and_memory_together_are_never_less_than_memory_alone() -> None:
    files = [s.file for s in settings(Limits(memory_hard=64 * MIB), "memory", 1)]

    assert files == [
        "memory.memsw.limit_in_bytes", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
    ]  # fmt: skip


def test_only_what_the_limit_cannot_do_without_is_needed() -> None:
    needed = [s for s in settings(Limits(memory_hard=64 * MIB), "memory", 2) if s.is_needed]

    assert needed == [Setting("memory.max", "67108864")]
    assert not any(s.is_needed for s in settings(Limits(cpu_weight=5), "memory", 2))
