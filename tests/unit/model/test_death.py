"""The record of a death: what was known of the process, and what follows."""

import pytest

from engine.model.death import Death, death_of
from engine.model.exit_status import EXIT_CONFIG, ExitStatus
from engine.model.lifecycle.decision import reduce
from engine.model.lifecycle.event import Exited, RestartRequested, TimedOut, Timer
from engine.model.restart_policy import RestartPolicy
from engine.model.state import Condition
from tests.unit.model.simulated_task import SimulatedTask

NOON_MS = 1_700_000_000_000


def died(task: SimulatedTask, event: Exited) -> Death:
    """The record of this end, at noon."""
    task.state, _ = reduce(task.state, event, task.now)
    task.process = None
    return death_of(task.state, event, task.now, NOON_MS)


def test_a_death_tells_how_when_and_what_follows() -> None:
    task = SimulatedTask()
    task.want()
    task.pass_time(0.5)
    task.become_ready()
    task.pass_time(41.5)
    event = Exited(
        task.state.generation, ExitStatus(signal=11, core=True), stage="put", silence=0.25,
        in_hand="lines-0@7", stacks="Thread 0x1", out_of_memory=False,
    )  # fmt: skip

    death = died(task, event)

    assert death == Death(
        generation=event.generation,
        exit_class="crash",
        reason="killed by SIGSEGV, core dumped",
        then=Condition.BACKOFF,
        ended_ms=NOON_MS,
        retry_in=1.0,
        signal=11,
        core=True,
        out_of_memory=False,
        lifetime=42.0,
        stage="put",
        silence=0.25,
        in_hand="lines-0@7",
        first_error="killed by SIGSEGV, core dumped",
        first_error_ms=NOON_MS,
        stacks="Thread 0x1",
        restarts_ms=(NOON_MS,),
        restarts=1,
        restarts_max=10,
        restarts_window=600.0,
    )


def test_the_first_error_of_a_row_is_kept_beside_the_last() -> None:
    task = SimulatedTask()
    task.want()
    first = Exited(task.state.generation, ExitStatus(code=70), "OSError: the disk is gone")
    died(task, first)
    task.pass_time(1.0)
    task.handle(TimedOut(task.state.generation, Timer.RESTART))

    last = died(task, Exited(task.state.generation, ExitStatus(code=70), "LookupError: no file"))

    assert (last.first_error, last.error) == ("OSError: the disk is gone", "LookupError: no file")
    assert last.first_error_ms == NOON_MS - 1000
    assert last.restarts_ms == (NOON_MS - 1000, NOON_MS)


def test_of_many_restarts_the_last_ones_and_their_number_are_told() -> None:
    task = SimulatedTask(RestartPolicy(delay=0.0, max_restarts=1000))
    task.want()
    for _ in range(60):
        last = died(task, Exited(task.state.generation, ExitStatus(code=70)))
        task.pass_time(0.5)

    assert last.restarts == 60
    assert last.restarts_ms == tuple(NOON_MS - 500 * each for each in range(9, -1, -1))


@pytest.mark.parametrize(
    ("code", "error", "condition"),
    [(70, "OSError: the disk is gone", Condition.BACKOFF), (70, None, Condition.BACKOFF),
     (EXIT_CONFIG, "ConfigError: no", Condition.FAILED)],
)  # fmt: skip
def test_a_death_has_the_trace_that_the_task_has(
    code: int, error: str | None, condition: Condition
) -> None:
    """So that it need not be told twice."""
    task = SimulatedTask()
    task.want()
    trace = "Traceback" if error else None
    death = died(task, Exited(task.state.generation, ExitStatus(code=code), error, trace=trace))
    assert task.state.condition is condition
    assert death.trace == task.state.trace


def test_an_operators_restart_begins_a_new_row() -> None:
    task = SimulatedTask()
    task.want()
    died(task, Exited(task.state.generation, ExitStatus(code=70), "OSError: the disk is gone"))
    task.handle(RestartRequested())

    last = died(task, Exited(task.state.generation, ExitStatus(code=70), "LookupError: no file"))

    assert last.first_error == "LookupError: no file"


def test_a_permanent_end_is_followed_by_nothing() -> None:
    task = SimulatedTask()
    task.want()

    death = died(task, Exited(task.state.generation, ExitStatus(code=78), "ConfigError: no"))

    assert (death.then, death.retry_in, death.exit_class) == (Condition.FAILED, None, "config")
