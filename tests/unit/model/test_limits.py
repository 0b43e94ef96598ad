"""Limits: what can be said, and who sees to it."""

import pytest

from engine.api.errors import ConfigError
from engine.model.limit_config import limits
from engine.model.limits import NO_LIMITS, Limits, seen_to_by

MIB = 1 << 20


def test_a_connectors_limits_go_before_the_workers() -> None:
    worker = {"engine.limit.nice": "5", "engine.limit.memory.hard.bytes": str(100 * MIB), "x": "y"}
    connector = {"engine.limit.nice": "7", "engine.recycle.after.ms": "3600000"}

    assert limits(worker, connector) == Limits(nice=7, memory_hard=100 * MIB, recycle_after=3600.0)
    assert limits({"x": "y"}, {}) == NO_LIMITS


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("engine.limit.memory.hard.bytes", "1000", "Value must be 0 or at least 33554432"),
        ("engine.limit.memory.soft.bytes", "64M", "Not a number of type LONG"),
        ("engine.limit.cpu.weight", "10001", "Value must be between 0 and 10000"),
        ("engine.limit.cpu.quota", "-1", "Value must be at least 0"),
        ("engine.limit.nice", "20", "Value must be between -20 and 19"),
        ("engine.limit.processes", "3", "Value must be 0 or at least 24"),
        ("engine.limit.open.files", "10", "Value must be 0 or at least 64"),
    ],
)
def test_a_limit_that_cannot_work_is_told_with_its_key(key: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        limits({}, {key: value})

    assert words in caught.value.problems[key]


def test_a_soft_limit_above_the_hard_one_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="must not be greater than "):
        limits(
            {"engine.limit.memory.hard.bytes": str(64 * MIB)},
            {"engine.limit.memory.soft.bytes": str(65 * MIB)},
        )


def test_the_lower_limit_is_what_a_task_had_better_stay_below() -> None:
    assert Limits().memory == 0
    assert Limits(memory_hard=9).memory == 9
    assert Limits(memory_soft=7, memory_hard=9).memory == 7


def test_only_what_a_group_enforces_better_asks_for_one() -> None:
    assert Limits(memory_soft=1, open_files=100, nice=3).controllers == frozenset()
    assert Limits(memory_hard=1, cpu_quota=0.5, io_weight=1, processes=30).controllers == {
        "memory", "cpu", "io", "pids"
    }  # fmt: skip


def test_who_sees_to_a_limit_depends_on_the_group() -> None:
    given = Limits(
        memory_soft=1, memory_hard=2, cpu_quota=1, processes=30, nice=1, io_weight=5, open_files=99
    )

    assert seen_to_by(given, ("memory", "pids")) == {
        "memory_soft": "sampling",
        "memory_hard": "control group",
        "cpu_quota": "nobody",
        "io_weight": "process",
        "processes": "control group",
        "open_files": "process",
        "nice": "process",
    }
    assert seen_to_by(Limits(memory_hard=2), ()) == {"memory_hard": "sampling"}
