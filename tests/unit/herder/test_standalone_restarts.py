"""Restarts that somebody asks a standalone herder for."""

from collections.abc import Callable

import pytest

from engine.api.errors import NotFoundError
from engine.herder.herder import Herder
from engine.model.state import State
from engine.model.task_id import TaskId
from engine.wire.herder_message import RestartTask
from tests.unit.herder.fake_supervisor import FakeSupervisor
from tests.unit.herder.scenario import F, R, Scenario, create, told, wait_for


def test_a_restarted_task_gets_a_fresh_process(play: Callable[[Scenario], None]) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        await create(herder)
        await wait_for(herder, R, R)
        before = supervisor.pids()
        await herder.restart_task(TaskId("c", 0))
        assert (await herder.task_status(TaskId("c", 0))).state is State.RESTARTING
        await wait_for(herder, R, R)
        assert supervisor.pids() != before
        with pytest.raises(NotFoundError, match="Task c-5 not found"):
            await herder.restart_task(TaskId("c", 5))
        with pytest.raises(NotFoundError, match="Unknown connector: nope"):
            await herder.restart_task(TaskId("nope", 0))

    play(scenario)


def test_a_failed_task_shows_its_trace_and_only_it_is_restarted(
    play: Callable[[Scenario], None],
) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        await create(herder, tasks="2", **{"tasks.max": "2"})
        await wait_for(herder, R, R, R)
        supervisor.tell(TaskId("c", 1), "failed", condition="FAILED", trace="ValueError: no\nx")
        await wait_for(herder, R, R, F)
        assert (await herder.task_status(TaskId("c", 1))).trace == "ValueError: no\nx"
        await herder.restart_connector("c")
        assert told(await herder.connector_status("c")) == (R, [R, F])
        status = await herder.restart_connector_and_tasks("c", only_failed=True, include_tasks=True)
        assert told(status) == (R, [R, State.RESTARTING])
        await wait_for(herder, R, R, R)
        assert supervisor.named(RestartTask) == [RestartTask("c", 1)]

    play(scenario)


def test_a_task_that_waits_for_its_next_start_counts_as_failed(
    play: Callable[[Scenario], None],
) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        await create(herder)
        await wait_for(herder, R, R)
        supervisor.tell(TaskId("c", 0), "backoff", condition="BACKOFF", retry_in=60.0)
        await wait_for(herder, R, State.RESTARTING)
        await herder.restart_connector_and_tasks("c", only_failed=True, include_tasks=True)
        await wait_for(herder, R, R)

    play(scenario)


def test_a_restart_of_everything_reads_restarting_and_then_running(
    play: Callable[[Scenario], None],
) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        await create(herder)
        await wait_for(herder, R, R)
        before = supervisor.pids()
        status = await herder.restart_connector_and_tasks(
            "c", only_failed=False, include_tasks=True
        )
        assert told(status) == (State.RESTARTING, [State.RESTARTING])
        assert told(await herder.connector_status("c")) == told(status)
        await wait_for(herder, R, R)
        assert supervisor.pids() != before
        with pytest.raises(NotFoundError, match="Unknown connector: nope"):
            await herder.restart_connector_and_tasks("nope", only_failed=True, include_tasks=True)

    play(scenario)
