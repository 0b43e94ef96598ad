"""What counts as mended, and whom the next fault may hit."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from engine.cli.chaos.fault import Fault
from engine.cli.chaos.plan import Injection
from engine.cli.chaos.recovery import Ledger, Snapshot, TaskSeen, Wound

NAMES = frozenset({"in-0", "out-0"})
CALM = Snapshot(
    at=100.0,
    tasks={name: TaskSeen(10, 1, "RUNNING", started_at=50.0, committed_at=99.0) for name in NAMES},
    supervisor_pid=1, herder_pid=2, zygote_pid=3, zygote_ready_at=40.0,
)  # fmt: skip


def seen(at: float, tasks: Mapping[str, TaskSeen] | None = None, **changes: object) -> Snapshot:
    """A later look."""
    found = replace(CALM, at=at, tasks={**CALM.tasks, **(tasks or {})})
    return replace(found, **changes)  # type: ignore[arg-type]


def hurt(ledger: Ledger, fault: Fault, target: str = "in-0") -> Wound:
    return ledger.inject(Injection(1, 0.0, fault, 0.0), target, CALM, 100.0)


@pytest.mark.parametrize("fault", [Fault.KILL_TASK, Fault.STOP, Fault.OOM])
def test_a_task_is_back_when_another_process_runs_and_since_that_says_so(fault: Fault) -> None:
    ledger = Ledger(NAMES)
    wound = hurt(ledger, fault)
    old = TaskSeen(10, 1, "RUNNING", started_at=50.0)
    assert ledger.see(seen(101, {"in-0": old})) == []
    assert ledger.see(seen(101, {"in-0": TaskSeen(11, 2, "STARTING")})) == []
    assert ledger.see(seen(101, {"out-0": TaskSeen(11, 2, "RUNNING", started_at=100.5)})) == []
    back = TaskSeen(12, 3, "RUNNING", started_at=100.25)
    assert ledger.see(seen(103, {"in-0": back})) == [wound]
    assert wound.seconds == 0.25
    assert ledger.open == []
    assert ledger.see(seen(104, {"in-0": back})) == []


def test_a_herder_is_back_when_another_one_knows_every_task() -> None:
    ledger = Ledger(NAMES)
    wound = hurt(ledger, Fault.KILL_HERDER, "herder")
    assert ledger.see(seen(101)) == []
    empty = replace(seen(101.5, herder_pid=5), tasks={})
    assert ledger.see(empty) == []
    assert ledger.see(seen(102, herder_pid=5)) == [wound]
    assert wound.seconds == 2.0


def test_a_zygote_is_back_since_it_can_fork() -> None:
    ledger = Ledger(NAMES)
    wound = hurt(ledger, Fault.KILL_ZYGOTE, "zygote")
    assert ledger.see(seen(101)) == []
    assert ledger.see(seen(101, zygote_pid=None, zygote_ready_at=None)) == []
    assert ledger.see(seen(105, zygote_pid=9, zygote_ready_at=101.5)) == [wound]
    assert wound.seconds == 1.5


def test_after_a_supervisor_every_task_must_be_back_and_the_last_counts() -> None:
    ledger = Ledger(NAMES)
    wound = hurt(ledger, Fault.KILL_SUPERVISOR, "supervisor")
    fresh = TaskSeen(20, 1 << 32, "RUNNING", started_at=103.0)
    assert ledger.see(seen(105, {"in-0": fresh})) == []
    assert ledger.see(seen(105, {"in-0": fresh, "out-0": replace(fresh, started_at=104.0)}))
    assert wound.seconds == 4.0


def committed(at: float) -> dict[str, TaskSeen]:
    return {name: replace(task, committed_at=at) for name, task in CALM.tasks.items()}


@pytest.mark.parametrize(
    ("fault", "seconds"), [(Fault.BROKER_RESTART, 7.0), (Fault.DISK_FULL, 2.0)]
)
def test_what_hurts_all_is_over_when_every_task_commits_again(fault: Fault, seconds: float) -> None:
    """A full disk counts from where there is room again; for a broker its own start counts, too."""
    ledger = Ledger(NAMES)
    wound = hurt(ledger, fault, "all")
    assert ledger.see(seen(104, committed(103.0))) == []  # what is in the way is in the way
    wound.since = 105.0
    assert ledger.see(seen(106, committed(104.9))) == []
    assert ledger.see(seen(106, {**committed(106.0), "in-0": CALM.tasks["in-0"]})) == []
    assert ledger.see(seen(107, committed(107.0))) == [wound]
    assert wound.seconds == seconds


def test_a_task_that_is_not_well_is_left_alone_and_the_least_hurt_is_next() -> None:
    ledger = Ledger(NAMES)
    assert ledger.free_tasks(CALM, None) == ["in-0", "out-0"]
    hurt(ledger, Fault.KILL_TASK)
    assert ledger.free_tasks(CALM, None) == ["out-0"]
    ledger.see(seen(101, {"in-0": TaskSeen(11, 2, "RUNNING", started_at=100.1)}))
    assert ledger.free_tasks(CALM, None) == ["out-0"]
    hurt(ledger, Fault.KILL_TASK, "out-0")
    ledger.see(seen(102, {"out-0": TaskSeen(11, 2, "RUNNING", started_at=101.1)}))
    assert ledger.free_tasks(CALM, None) == ["in-0", "out-0"]
    assert ledger.free_tasks(CALM, 2) == ["in-0", "out-0"]
    assert ledger.free_tasks(CALM, 1) == []
    waiting = seen(102, {"in-0": TaskSeen(None, 2, "BACKOFF"), "other-0": CALM.tasks["in-0"]})
    assert ledger.free_tasks(waiting, None) == ["out-0"]


def test_what_hurts_all_comes_one_at_a_time() -> None:
    ledger = Ledger(NAMES)
    hurt(ledger, Fault.BROKER_RESTART, "broker")
    assert not ledger.can_take(Fault.DISK_FULL)
    assert not ledger.can_take(Fault.KILL_SUPERVISOR)
    assert ledger.can_take(Fault.KILL_TASK)
    assert ledger.can_take(Fault.KILL_HERDER)


def test_without_a_supervisor_there_is_nobody_to_hurt() -> None:
    ledger = Ledger(NAMES)
    hurt(ledger, Fault.KILL_SUPERVISOR, "supervisor")
    assert not any(map(ledger.can_take, Fault))
