"""The operator's word and a task's life, in stories."""

import pytest

from engine.model.exit_status import ExitStatus
from engine.model.lifecycle.ending import (
    ABORT_GRACE,
    KILL_GRACE,
)  # fmt: skip
from engine.model.lifecycle.event import (
    FellSilent,
)
from engine.model.restart_policy import RestartPolicy
from engine.model.state import Condition
from tests.unit.model.simulated_task import SIGKILLED, SimulatedTask


def test_f20_a_stop_in_back_off_is_final() -> None:
    task = SimulatedTask()
    task.want()
    task.end()
    assert task.is_in(Condition.BACKOFF)

    task.drop()
    task.pass_time(3600)

    assert task.is_in(Condition.STOPPED)
    assert (len(task.spawned_at), task.events[-1], task.timer) == (1, "gone", None)


def test_f21_a_stop_while_the_process_is_being_made_ends_it() -> None:
    task = SimulatedTask()
    task.want()
    task.drop()
    task.pass_time(1)

    assert (task.process, task.events[-1], len(task.spawned_at)) == (None, "gone", 1)


def test_f21_a_stop_of_a_process_that_was_never_made_is_final() -> None:
    task = SimulatedTask(obeys=False)
    task.want()
    task.drop()
    task.end(None)

    assert (task.state.condition, task.events[-1]) == (Condition.STOPPED, "gone")


def test_f22_fifty_restarts_at_once_make_one_new_process() -> None:
    task = SimulatedTask()
    task.want()
    task.become_ready()
    for _ in range(50):
        task.restart()
    task.pass_time(1)

    assert len(task.spawned_at) == 2
    assert dict(task.state.restarts) == {"operator": 1}


def test_f23_a_task_that_ends_by_itself_when_it_is_stopped_counts_as_stopped() -> None:
    """The exit code is kept, the wish wins."""
    task = SimulatedTask(obeys=False)
    task.want()
    task.become_ready()
    task.drop()
    task.end(ExitStatus(code=3))

    assert (task.events[-1], task.state.exit_code) == ("gone", 3)
    assert task.state.reason == "stopped, exit code 3"
    assert dict(task.state.restarts) == {}


def test_f24_a_start_waits_until_the_old_process_is_dead() -> None:
    task = SimulatedTask(obeys=False)
    task.want()
    task.become_ready()
    task.drop()
    task.want()
    assert len(task.spawned_at) == 1

    task.pass_time(4.9)
    assert len(task.spawned_at) == 1
    task.pass_time(0.2)

    assert len(task.spawned_at) == 2
    assert "gone" not in task.events


def test_f29_a_task_that_dies_while_paused_stays_meant_to_be_paused() -> None:
    task = SimulatedTask()
    task.want()
    task.become_ready()
    task.want(is_paused=True)
    assert task.is_in(Condition.PAUSED)

    task.end()
    task.pass_time(2)
    task.become_ready(is_paused=False)

    assert task.is_in(Condition.PAUSED)


def test_f30_a_process_that_does_not_end_is_killed_after_the_stop_timeout() -> None:
    task = SimulatedTask(obeys=False, stop_timeout=3)
    task.want()
    task.become_ready()
    task.drop()
    task.pass_time(2.9)
    assert task.has_process()
    task.pass_time(0.2)

    assert not task.has_process()
    assert task.events[-1] == "gone"


def test_f35_a_process_that_even_sigkill_does_not_end_is_called_unkillable() -> None:
    """Its slot is not used again, and its end is still noticed."""
    task = SimulatedTask(obeys=False, aborts=False, is_mortal=False)
    task.want()
    task.become_ready()
    task.restart()
    task.pass_time(5 + ABORT_GRACE + KILL_GRACE + 1)
    assert task.is_in(Condition.UNKILLABLE)
    assert task.state.reason == "SIGKILL did not end it within 5 s"
    assert len(task.spawned_at) == 1

    task.end(SIGKILLED)

    assert task.is_in(Condition.STARTING)


@pytest.mark.parametrize("mode", ["never", "on-failure"])
@pytest.mark.parametrize("why", ["silent", "late"])
def test_a_restart_of_a_process_that_is_being_ended_always_leads_to_a_start(
    why: str, mode: str
) -> None:
    """The operator's word wins over a policy that would leave the task FAILED."""
    task = SimulatedTask(policy=RestartPolicy(mode=mode, max_restarts=0), obeys=False)
    task.want()
    if why == "silent":
        task.become_ready()
        task.handle(FellSilent(task.state.generation, 31.0, "poll"))
    else:
        task.pass_time(task.start_timeout + 1)
    task.restart()
    task.pass_time(30)

    assert len(task.spawned_at) >= 2


def test_a_new_configuration_wipes_the_slate_of_a_running_task() -> None:
    task = SimulatedTask()
    task.want()
    for _ in range(3):
        task.end()
        task.pass_time(60)
    task.become_ready()
    assert task.state.failures == 3

    task.want("b")
    task.pass_time(1)

    assert (task.state.failures, task.state.restart_times) == (0, ())


def test_a_failed_task_shows_its_words_and_why_it_is_not_restarted() -> None:
    task = SimulatedTask()
    task.want()
    task.end(ExitStatus(code=78), summary="ConfigError: file is missing")

    assert task.state.trace is not None
    assert task.state.trace.splitlines() == [
        "ConfigError: file is missing",
        "not restarted: the cause is permanent (config)",
    ]
    assert task.state.reason == "ConfigError: file is missing (exit code 78)"
    assert task.state.exit_code == 78
