"""Connectors that cannot be planned, whose plugins hang or die, and those that can be again."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from engine.api.errors import ConnectError
from engine.herder.herder import Herder, PlanFailedError
from engine.model.task_id import TaskId
from tests.unit.herder.fake_supervisor import FakeSupervisor, wait_until
from tests.unit.herder.scenario import F, R, S, Scenario, create, told, wait_for


@pytest.mark.parametrize("stage", ["start", "task_configs"])
def test_a_connector_that_cannot_be_planned_stays_behind_failed(
    play: Callable[[Scenario], None], stage: str
) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        if stage == "start":
            with pytest.raises(ConnectError, match="cannot start with"):
                await create(herder, fail=stage)
        else:
            await create(herder, fail=stage)
        status = await herder.connector_status("c")
        assert told(status) == (F, [])
        assert status.connector.trace is not None
        assert status.connector.trace.startswith(f"ValueError: cannot {stage} with")
        assert "Traceback" in status.connector.trace
        await herder.stop_connector("c")
        assert told(await herder.connector_status("c")) == (S, [])
        await herder.patch_connector_config("c", {"fail": None})
        await herder.resume_connector("c")
        await wait_for(herder, R, R)

    play(scenario)


@pytest.mark.parametrize("key", ["refused.while", "broken.while"])
def test_planning_that_fails_is_tried_again_by_itself(
    play: Callable[[Scenario], None], tmp_path: Path, key: str
) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        obstacle = tmp_path / "obstacle"
        obstacle.touch()
        with suppress(ConnectError):
            await create(herder, **{key: str(obstacle)})
        status = await herder.connector_status("c")
        assert told(status) == (F, [])
        assert "the catalogue cannot be read" in (status.connector.trace or "")
        obstacle.unlink()
        await wait_for(herder, R, R)

    play(scenario)


def test_tasks_go_on_as_they_were_while_a_new_plan_fails(
    play: Callable[[Scenario], None], tmp_path: Path
) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        obstacle = tmp_path / "obstacle"
        await create(herder, **{"broken.while": str(obstacle)})
        await wait_for(herder, R, R)
        pids = supervisor.pids()
        obstacle.touch()
        await herder.patch_connector_config("c", {"shared": "new"})
        assert told(await herder.connector_status("c")) == (F, [R])
        assert supervisor.pids() == pids
        obstacle.unlink()
        await wait_for(herder, R, R)
        await wait_until(lambda: supervisor.assignments[TaskId("c", 0)].config["shared"] == "new")

    play(scenario)


def test_more_tasks_than_allowed_make_the_connector_fail(
    play: Callable[[Scenario], None],
) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        await create(herder, tasks="2")
        status = await herder.connector_status("c")
        assert told(status) == (F, [])
        assert "The connector c has generated 2 tasks, which is greater than 1" in (
            status.connector.trace or ""
        )
        await herder.patch_connector_config("c", {"tasks.max.enforce": "false"})
        await wait_for(herder, R, R, R)

    play(scenario)


def test_a_plugin_that_hangs_while_it_validates_hangs_nobody_else(
    play: Callable[..., None],
) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        hanging = asyncio.create_task(create(herder, "hung", hang="validate"))
        await create(herder, "other")
        assert not hanging.done()
        with pytest.raises(
            PlanFailedError,
            match=r"plan hung did not answer in validate: deadline of 2 s exceeded",
        ):
            await hanging
        assert await herder.connectors() == ["other"]

    play(scenario, **{"engine.plan.timeout.ms": "2000"})


def test_a_plugin_that_hangs_while_it_starts_leaves_a_failed_connector(
    play: Callable[..., None],
) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        with pytest.raises(PlanFailedError, match="did not answer in start"):
            await create(herder, hang="start")
        status = await herder.connector_status("c")
        assert told(status) == (F, [])
        assert "deadline of 1.5 s exceeded" in (status.connector.trace or "")
        await herder.delete_connector("c")

    play(scenario, **{"engine.plan.timeout.ms": "1500"})


def test_a_plugin_that_kills_its_process_is_explained(play: Callable[[Scenario], None]) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        with pytest.raises(PlanFailedError, match="did not answer in validate: killed by SIGKILL"):
            await create(herder, die="validate")

    play(scenario)


def test_secrets_leave_the_plan_as_placeholders(play: Callable[..., None], tmp_path: Path) -> None:
    secrets = tmp_path / "secrets.properties"
    secrets.write_text("word=hunter22\n")

    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        placeholder = f"${{file:{secrets}:word}}"
        await create(herder, shared=placeholder)
        await wait_for(herder, R, R)
        assert dict(await herder.task_configs("c"))[TaskId("c", 0)]["shared"] == placeholder
        assert supervisor.assignments[TaskId("c", 0)].config["shared"] == placeholder
        with pytest.raises(ConnectError) as failed:
            await create(herder, "d", shared=placeholder, fail="start")
        assert str(failed.value) == f"cannot start with {placeholder}"
        trace = (await herder.connector_status("d")).connector.trace or ""
        assert "hunter22" not in trace

    play(
        scenario,
        **{
            "config.providers": "file",
            "config.providers.file.class":
                "org.apache.kafka.common.config.provider.FileConfigProvider",
        },
    )  # fmt: skip
