"""Restarts over minutes, hours and days of simulated time: bounded, delayed, forgiven."""

from itertools import pairwise

import pytest

from engine.model.exit_status import ExitStatus
from engine.model.restart_budget import RestartBudget
from engine.model.restart_policy import RestartPolicy
from engine.model.state import Condition
from tests.unit.model.simulated_task import CRASHED, Process, SimulatedTask

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def task_that_lives(
    seconds: float,
    policy: RestartPolicy | None = None,
    *,
    has_progressed: bool = True,
    status: ExitStatus = CRASHED,
    seed: int = 0,
) -> SimulatedTask:
    """A task each of whose processes becomes ready and dies after so long."""
    task = SimulatedTask(policy or RestartPolicy(), seed=seed)

    def lives(_process: Process) -> None:
        if seconds > 1:
            task.after(0.5, task.become_ready)
        task.after(seconds, lambda: task.end(status, has_progressed=has_progressed))

    task.on_spawn = lives
    return task


def gaps(task: SimulatedTask) -> list[float]:
    return [later - earlier for earlier, later in pairwise(task.spawned_at)]


@pytest.mark.parametrize("seed", range(20))
def test_f11_a_task_that_dies_at_once_is_started_eleven_times_and_given_up(seed: int) -> None:
    task = task_that_lives(0.01, seed=seed)
    task.want()
    task.pass_time(10 * MINUTE)

    assert len(task.spawned_at) == 11
    assert task.is_in(Condition.FAILED)
    expected = [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    for gap, delay in zip(gaps(task), expected, strict=True):
        assert delay * 0.75 <= gap - 0.01 <= delay * 1.25


def test_f11_tasks_that_die_together_do_not_come_back_together() -> None:
    first = {gaps(_stormed(seed))[0] for seed in range(50)}

    assert len({round(gap, 3) for gap in first}) > 40
    assert max(first) - min(first) > 0.3


def _stormed(seed: int) -> SimulatedTask:
    task = task_that_lives(0.01, seed=seed)
    task.want()
    task.pass_time(MINUTE)
    return task


def test_f12_living_a_little_while_does_not_reset_the_delay() -> None:
    task = task_that_lives(3)
    task.want()
    task.pass_time(10 * MINUTE)

    assert len(task.spawned_at) <= 12
    assert gaps(task)[6] > 45


def test_f13_after_a_healthy_hour_the_first_delay_is_the_initial_one() -> None:
    task = task_that_lives(0.01)
    task.want()
    task.pass_time(30)
    assert task.state.failures >= 4
    task.on_spawn = lambda _process: None
    task.pass_time(MINUTE)
    task.become_ready()
    task.pass_time(HOUR)

    task.end(CRASHED, has_progressed=True)

    assert task.state.failures == 1
    assert task.state.retry_at is not None
    assert 0.75 <= task.state.retry_at - task.now <= 1.25


def test_f13_a_healthy_hour_without_a_single_record_forgives_nothing() -> None:
    task = SimulatedTask()
    task.want()
    for _ in range(4):
        task.end()
        task.pass_time(MINUTE)
    task.become_ready()
    task.pass_time(HOUR)

    task.end(CRASHED, has_progressed=False)

    assert task.state.failures == 5


def test_f14_a_crash_a_day_for_a_month_never_fails_the_task() -> None:
    task = task_that_lives(DAY)
    task.want()
    task.pass_time(30 * DAY)

    assert task.state.condition is not Condition.FAILED
    assert len(task.spawned_at) == 30
    assert max(gaps(task)) - DAY <= 1.25


def test_f16_a_failed_task_stays_failed_until_an_operator_restarts_it() -> None:
    task = task_that_lives(0.01)
    task.want()
    task.pass_time(DAY)
    assert task.is_in(Condition.FAILED)
    assert len(task.spawned_at) == 11
    assert task.state.trace is not None
    assert task.state.trace.endswith("not restarted again: restarted 10 times within 600 s")

    task.want()
    task.pass_time(DAY)
    assert len(task.spawned_at) == 11

    task.restart()
    task.pass_time(10 * MINUTE)

    assert len(task.spawned_at) == 22


def test_f16_restarts_outside_the_window_do_not_count() -> None:
    task = task_that_lives(61, RestartPolicy(delay_max=1.0))
    task.want()
    task.pass_time(DAY)

    assert task.state.condition is not Condition.FAILED


def test_permanent_errors_are_not_retried() -> None:
    task = task_that_lives(0.01, status=ExitStatus(code=78))
    task.want()
    task.pass_time(DAY)

    assert (len(task.spawned_at), task.state.condition) == (1, Condition.FAILED)


def test_an_operators_restart_in_back_off_starts_at_once_and_with_the_first_delay() -> None:
    task = task_that_lives(0.01)
    task.want()
    task.pass_time(70)
    before = len(task.spawned_at)
    assert task.is_in(Condition.BACKOFF)

    task.restart()
    assert len(task.spawned_at) == before + 1
    task.pass_time(1.3)

    assert len(task.spawned_at) == before + 2


def _storm(count: int, budget: RestartBudget, policy: RestartPolicy) -> list[SimulatedTask]:
    """So many running tasks of one connector that are all killed at once."""
    tasks = []
    for seed in range(count):
        task = SimulatedTask(policy, seed=seed)
        task.want()
        task.become_ready()
        task.turn = lambda task=task: budget.claim(  # type: ignore[misc]
            "one", (policy.rate, policy.burst), task.now
        )
        tasks.append(task)
    for task in tasks:
        task.end()
    return tasks


def _pass_together(tasks: list[SimulatedTask], seconds: float) -> None:
    """Time passes for all of them in small steps, for they share a budget."""
    for _ in range(round(seconds * 10)):
        for task in tasks:
            task.pass_time(0.1)


def test_f15_five_hundred_tasks_do_not_come_back_in_one_breath() -> None:
    policy = RestartPolicy(delay=0, rate=20, burst=30)
    tasks = _storm(500, RestartBudget((50, 100)), policy)

    _pass_together(tasks, 30)

    starts = sorted(at for task in tasks for at in task.spawned_at[1:])
    assert len(starts) == 500
    for second in range(30):
        within = [at for at in starts if second <= at - 1000 < second + 1]
        assert len(within) <= 30 + 20
    assert 23 <= starts[-1] - 1000 <= 24


def test_f15_a_single_kill_waits_for_nobody() -> None:
    policy = RestartPolicy(delay=0)
    task = _storm(1, RestartBudget((50, 100)), policy)[0]

    assert task.spawned_at == [1000.0, 1000.0]


def test_f15_an_operator_waits_for_no_turn() -> None:
    policy = RestartPolicy(delay=0, rate=1, burst=1)
    tasks = _storm(10, RestartBudget((50, 100)), policy)
    _pass_together(tasks, 0.1)
    last = tasks[-1]
    assert last.is_in(Condition.BACKOFF)
    assert last.state.note == "waits for its turn: many tasks are being restarted"

    last.restart()

    assert last.has_process()
    assert last.state.note is None


def test_f15_a_stop_while_a_task_waits_for_its_turn_is_final() -> None:
    policy = RestartPolicy(delay=0, rate=1, burst=1)
    tasks = _storm(5, RestartBudget((50, 100)), policy)
    for task in tasks[1:3]:
        task.drop()  # before it is told to wait
    _pass_together(tasks, 0.1)
    for task in tasks[3:]:
        task.drop()

    _pass_together(tasks, 10)

    assert [task.state.condition for task in tasks[1:]] == [Condition.STOPPED] * 4
    assert [len(task.spawned_at) for task in tasks] == [2, 1, 1, 1, 1]


def test_the_policy_always_never_gives_up() -> None:
    task = task_that_lives(0.01, RestartPolicy(mode="always", delay_max=10))
    task.want()
    task.pass_time(HOUR)

    assert task.state.condition is not Condition.FAILED
    assert 250 < len(task.spawned_at) < 500


def test_an_end_that_is_to_be_prevented_from_a_restart_fails_the_task() -> None:
    task = task_that_lives(0.01, RestartPolicy(prevent=(1,)))
    task.want()
    task.pass_time(HOUR)

    assert (len(task.spawned_at), task.state.condition) == (1, Condition.FAILED)
    assert task.state.trace is not None
    assert "prevent.exit.status names exit code 1" in task.state.trace


def test_a_forced_restart_is_still_bounded() -> None:
    task = task_that_lives(0.01, RestartPolicy(force=(78,)), status=ExitStatus(code=78))
    task.want()
    task.pass_time(HOUR)

    assert (len(task.spawned_at), task.state.condition) == (11, Condition.FAILED)
