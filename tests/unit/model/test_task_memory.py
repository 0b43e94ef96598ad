"""What survives a supervisor: the same decisions as if there had never been another one."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.exit_status import ExitStatus
from engine.model.lifecycle.task_memory import (
    ClockReading,
    TaskMemory,
    is_same,
    memory_of,
    recalled,
)
from engine.model.lifecycle.task_state import TaskState
from engine.model.restart_policy import RestartPolicy
from engine.model.state import Condition
from tests.unit.model.simulated_task import SimulatedTask

PERMANENT = ExitStatus(code=78)


def reborn(old: SimulatedTask, elapsed: float) -> SimulatedTask:
    """The same task under a new supervisor, so many seconds later."""
    text = msgspec.json.encode(memory_of(old.state, old.now))
    new = SimulatedTask(old.policy)
    new.now = 5.0  # another clock
    new.state, actions = recalled(
        TaskState(generation=1 << 33), msgspec.json.decode(text, type=TaskMemory), elapsed, new.now
    )
    for action in actions:
        new._do(action)
    return new


def crashed(times: int, policy: RestartPolicy | None = None) -> SimulatedTask:
    """A task that has crashed so often, and waits."""
    task = SimulatedTask(policy or RestartPolicy(jitter=0.0))
    task.want()
    for _ in range(times):
        task.pass_until_spawned()
        task.end()
    return task


def test_f18_a_back_off_goes_on_where_it_was() -> None:
    old = crashed(5)
    assert old.state.retry_at == old.now + 16
    old.pass_time(3)

    new = reborn(old, elapsed=5.0)

    assert new.is_in(Condition.BACKOFF)
    assert new.state.retry_at == new.now + 8
    new.want()
    assert not new.has_process()
    new.pass_time(8)
    assert new.has_process()
    assert (new.state.failures, new.state.restarts) == (5, {"crash": 5})
    new.end()
    assert new.state.retry_at == new.now + 32


def test_f18_a_back_off_that_ended_meanwhile_is_over() -> None:
    new = reborn(crashed(5), elapsed=3600.0)
    new.want()
    new.pass_time(0)

    assert new.has_process()


def test_f18_the_limit_counts_restarts_from_before() -> None:
    policy = RestartPolicy(max_restarts=3, delay=1, delay_factor=1, jitter=0, window=600)
    new = reborn(crashed(3, policy), elapsed=10.0)
    new.want()
    new.pass_time(1)

    new.end()

    assert new.is_in(Condition.FAILED)


def test_restarts_that_the_window_has_left_meanwhile_do_not_count() -> None:
    policy = RestartPolicy(max_restarts=3, delay=1, delay_factor=1, jitter=0, window=600)
    new = reborn(crashed(3, policy), elapsed=700.0)
    new.want()
    new.pass_time(1)

    new.end()

    assert new.is_in(Condition.BACKOFF)


def test_a_failed_task_stays_failed_with_its_trace() -> None:
    old = SimulatedTask()
    old.want()
    old.end(PERMANENT, summary="ConfigError: no such table")

    new = reborn(old, elapsed=100.0)
    new.want()
    new.pass_time(10_000)

    assert new.is_in(Condition.FAILED)
    assert new.state.trace == old.state.trace
    assert new.state.exit_code == 78
    new.restart()
    assert new.has_process()


def test_another_configuration_is_a_new_beginning() -> None:
    new = reborn(crashed(5), elapsed=1.0)

    new.want("b")

    assert new.has_process()
    assert new.state.failures == 0


def test_an_operators_word_ends_a_back_off_that_was_remembered() -> None:
    new = reborn(crashed(5), elapsed=1.0)
    new.want()

    new.restart()

    assert new.has_process()
    assert new.state.failures == 0


def test_a_task_that_ran_starts_at_once_with_its_counters() -> None:
    old = crashed(3)
    old.pass_until_spawned()
    old.become_ready()

    new = reborn(old, elapsed=1.0)
    new.want()

    assert new.has_process()
    assert (new.state.failures, new.state.restarts) == (3, {"crash": 3})


BOOT = ClockReading("boot-1", 1000.0, 50_000.0)


@pytest.mark.parametrize(
    ("later", "elapsed"),
    [
        (ClockReading("boot-1", 1007.5, 50_007.5), 7.5),
        (ClockReading("boot-1", 1007.5, 46_407.5), 7.5),  # somebody set the clock back
        (ClockReading("boot-1", 1007.5, 136_407.5), 7.5),  # or a day ahead
        (ClockReading("boot-2", 3.0, 50_020.0), 20.0),
        (ClockReading("boot-2", 3.0, 40_000.0), 0.0),
    ],
)
def test_f44_time_is_counted_by_the_kernel_and_over_a_boot_by_the_wall(
    later: ClockReading, elapsed: float
) -> None:
    assert BOOT.elapsed_until(later) == elapsed


@given(
    st.integers(1, 9),
    st.floats(0, 200),
    st.floats(0, 10_000),
)
def test_no_restart_of_the_supervisor_brings_a_task_back_early(
    crashes: int, before: float, after: float
) -> None:
    """Whenever it happens: the next start is neither earlier nor much later than it would be."""
    old = crashed(crashes)
    due = old.state.retry_at
    assert due is not None
    left = due - old.now
    old.pass_time(min(before, left * 0.99))
    spent = min(before, left * 0.99)

    new = reborn(old, elapsed=after)

    assert new.state.retry_at is not None
    assert new.state.retry_at - new.now == pytest.approx(max(0.0, left - spent - after), abs=1e-6)


def test_only_what_is_remembered_is_worth_a_line() -> None:
    task = SimulatedTask()
    task.want()
    before = task.state
    task.become_ready()
    assert is_same(before, task.state)

    before = task.state
    task.end()
    assert not is_same(before, task.state)
