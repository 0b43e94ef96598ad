"""How processes end: told, found stuck, grown too large; and what follows."""

import pytest

from engine.model.exit_status import ExitClass
from engine.model.lifecycle.ending import (
    ABORT_GRACE,
    DUMP_GRACE,
    RECYCLE_PATIENCE,
    TERM_GRACE,
)  # fmt: skip
from engine.model.lifecycle.event import (
    Exited,
    FellSilent,
    Outgrew,
    Overran,
    Stalled,
)
from engine.model.restart_policy import RestartPolicy
from engine.model.state import Condition
from tests.unit.model.simulated_task import SIGKILLED, SimulatedTask


@pytest.mark.parametrize(
    ("out_of_memory", "reason", "exit_class"),
    [
        (None, "killed by SIGKILL (possibly out of memory)", "killed"),
        (False, "killed by SIGKILL", "killed"),
        (True, "out of memory: killed by SIGKILL", "out_of_memory"),
    ],
)
def test_f01_f52_a_killed_task_says_how_it_died(
    out_of_memory: bool | None, reason: str, exit_class: str
) -> None:
    task = SimulatedTask()
    task.want()
    task.become_ready()
    task.process = None
    task.handle(Exited(task.state.generation, SIGKILLED, out_of_memory=out_of_memory))

    assert task.state.reason == reason
    assert task.state.trace == f"TaskDied: {reason}"
    assert (task.state.exit_code, dict(task.state.restarts)) == (-9, {exit_class: 1})


def test_a_trace_is_gone_when_the_task_runs_again() -> None:
    task = SimulatedTask()
    task.want()
    task.end()
    task.pass_time(2)
    task.become_ready()

    assert task.state.trace is None


def test_f06_a_process_that_was_never_made_counts_as_a_failed_start() -> None:
    task = SimulatedTask()
    task.want()
    task.end(None, summary="ProcessNotMade: fork: Cannot allocate memory")

    assert task.is_in(Condition.BACKOFF)
    assert dict(task.state.restarts) == {"start_failed": 1}
    assert task.state.exit_code is None


def test_f07_a_start_that_takes_too_long_is_ended_and_counted() -> None:
    task = SimulatedTask(start_timeout=2, obeys=False)
    task.want()
    task.pass_time(2 + 5 + 0.5)

    assert dict(task.state.restarts) == {"start_timeout": 1}
    assert task.is_in(Condition.BACKOFF)
    assert task.state.reason is not None
    assert task.state.reason.startswith("not RUNNING 2 s after its start")


@pytest.mark.parametrize(
    ("obeys", "aborts", "how", "seconds"),
    [
        (True, True, "exit code 0", 0.1),
        (False, True, "killed by SIGABRT", TERM_GRACE + 0.1),
        (
            False,
            False,
            "killed by SIGKILL",
            TERM_GRACE + ABORT_GRACE + 0.1,
        ),
    ],
)
def test_f32_a_silent_task_is_asked_then_aborted_then_killed_then_restarted(
    obeys: bool, aborts: bool, how: str, seconds: float
) -> None:
    task = SimulatedTask(obeys=obeys, aborts=aborts)
    task.want()
    task.become_ready()
    task.handle(FellSilent(task.state.generation, 31.0, "put", "lines-0@7 to lines-0@9, 3 records"))
    task.pass_time(seconds)

    assert task.is_in(Condition.BACKOFF)
    assert dict(task.state.restarts) == {"unresponsive": 1}
    assert task.state.reason == (
        f"no heartbeat for 31.0 s, in stage put with lines-0@7 to lines-0@9, 3 records ({how})"
    )


def test_f32_stacks_that_cannot_be_had_hold_up_nothing() -> None:
    task = SimulatedTask(dump_takes=3600)
    task.want()
    task.become_ready()
    task.handle(FellSilent(task.state.generation, 31.0, "put"))
    task.pass_time(DUMP_GRACE + 0.2)

    assert task.is_in(Condition.BACKOFF)


@pytest.mark.parametrize(("needs", "ends_after"), [(40.0, 40.0), (4000.0, 60.0)])
def test_f38_a_task_that_needs_longer_to_stop_gets_it_up_to_a_maximum(
    needs: float, ends_after: float
) -> None:
    task = SimulatedTask(obeys=False, stop_timeout=30)
    task.want()
    task.become_ready()
    task.busy_until = task.now + needs

    task.drop()
    task.pass_time(ends_after - 0.1)
    assert task.has_process()
    task.pass_time(0.2)

    assert not task.has_process()
    assert task.state.reason == f"stopped, did not end within {ends_after:g} s, killed by SIGABRT"


def test_a_start_that_announces_that_it_takes_long_may_take_long() -> None:
    task = SimulatedTask(start_timeout=60, obeys=False)
    task.want()
    task.busy_until = task.now + 600
    task.pass_time(599)
    assert task.is_in(Condition.STARTING)

    task.become_ready()

    assert task.is_in(Condition.RUNNING)


def test_f34_a_task_without_progress_is_restarted_where_that_is_wished() -> None:
    task = SimulatedTask(progress_restarts=True)
    task.want()
    task.become_ready()

    task.handle(Stalled(task.state.generation, 301.4, 1200))
    task.pass_time(0.5)

    assert task.is_in(Condition.BACKOFF)
    assert dict(task.state.restarts) == {"no_progress": 1}
    assert task.state.reason == ("1200 records wait and none has moved for 301 s (exit code 0)")


def test_the_policy_never_restarts_nothing_but_what_an_operator_restarts() -> None:
    task = SimulatedTask(policy=RestartPolicy(mode="never"))
    task.want()
    task.end()
    assert task.is_in(Condition.FAILED)
    task.pass_time(3600)
    assert len(task.spawned_at) == 1

    task.restart()

    assert task.is_in(Condition.STARTING)


def test_without_a_delay_the_next_process_comes_at_once() -> None:
    task = SimulatedTask(policy=RestartPolicy(delay=0))
    task.want()
    task.end()

    assert task.is_in(Condition.STARTING)


@pytest.mark.parametrize("why", [ExitClass.SOFT_MEMORY, ExitClass.RECYCLED])
def test_f17_a_fresh_process_neither_counts_as_a_failure_nor_forgives_one(why: ExitClass) -> None:
    task = SimulatedTask(policy=RestartPolicy(max_restarts=3))
    task.want()
    for _ in range(2):
        task.end()
        task.pass_until_spawned()
    assert task.state.failures == 2
    for _ in range(50):
        task.become_ready()
        task.handle(Outgrew(task.state.generation, why, "it used much"))
        task.pass_time(1)

    assert (task.state.failures, len(task.state.restart_times)) == (2, 2)
    assert dict(task.state.restarts) == {"crash": 2, why: 50}
    assert task.state.reason is not None
    assert task.state.reason.endswith("it used much, exit code 0")
    task.become_ready()
    task.end()
    assert task.state.failures == 3


def test_a_fresh_process_that_no_commit_makes_room_for_comes_all_the_same() -> None:
    task = SimulatedTask(commits_after=1e9)
    task.want()
    task.become_ready()

    task.handle(Outgrew(task.state.generation, ExitClass.RECYCLED, "it is due"))
    task.pass_time(RECYCLE_PATIENCE + 1)

    assert len(task.spawned_at) == 2
    assert dict(task.state.restarts) == {"recycled": 1}


def test_a_process_that_uses_too_much_memory_is_ended_at_once_and_counted() -> None:
    task = SimulatedTask(obeys=False)
    task.want()
    task.become_ready()

    task.handle(Overran(task.state.generation, "it used 200 bytes of 100"))
    task.pass_time(0.1)

    assert task.is_in(Condition.BACKOFF)
    assert dict(task.state.restarts) == {"out_of_memory": 1}
    assert task.state.reason == ("it used 200 bytes of 100 (killed by SIGKILL)")
