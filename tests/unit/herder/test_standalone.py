"""A standalone herder over a supervisor that only says what a real one would say."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from engine.api.errors import AlreadyExistsError, ConnectError, NotFoundError
from engine.herder.herder import BadRequestError, ConnectorStateInfo, Herder, PlanFailedError
from engine.model.state import State, TargetState
from engine.model.task_id import TaskId
from engine.wire.herder_message import Desire, Drop, RestartTask
from tests.unit.herder.fake_supervisor import FakeSupervisor, wait_until
from tests.unit.herder.running_herder import running, sample

Scenario = Callable[[Herder, FakeSupervisor], Coroutine[Any, Any, None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Scenario], None]:
    """Runs a scenario against a fresh herder."""

    def run(scenario: Scenario, **worker: str) -> None:
        async def playing() -> None:
            supervisor = FakeSupervisor()
            try:
                async with running(supervisor, tmp_path, worker=worker) as herder:
                    await scenario(herder, supervisor)
            finally:
                supervisor.close()

        asyncio.run(playing())

    return run


async def create(herder: Herder, name: str = "c", **config: str) -> None:
    await herder.put_connector_config(name, sample(**config), allow_replace=False)


def told(status: ConnectorStateInfo) -> tuple[State, list[State]]:
    return status.connector.state, [status.tasks[n].state for n in sorted(status.tasks)]


async def wait_for(herder: Herder, connector: State, *tasks: State, name: str = "c") -> None:
    async with asyncio.timeout(10):
        while told(await herder.connector_status(name)) != (connector, list(tasks)):  # noqa: ASYNC110 (the loop itself is what must turn)
            await asyncio.sleep(0.005)


R, F, P, S = State.RUNNING, State.FAILED, State.PAUSED, State.STOPPED


def test_a_created_connector_has_its_tasks_at_once_and_runs_soon(
    play: Callable[[Scenario], None],
) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        is_new, info = await herder.put_connector_config(
            "c", sample(tasks="2", **{"tasks.max": "2"}), allow_replace=False
        )
        assert is_new
        assert info.tasks == [TaskId("c", 0), TaskId("c", 1)]
        assert info.type == "source"
        assert info.config["name"] == "c"
        await wait_for(herder, R, R, R)
        status = await herder.connector_status("c")
        assert status.connector.version == "7.1"
        assert status.tasks[0].worker_id == "127.0.0.1:8083"
        configs = dict(await herder.task_configs("c"))
        assert configs[TaskId("c", 1)]["number"] == "1"
        assert configs[TaskId("c", 1)]["task.class"].endswith("sample_connector.SampleTask")
        assert supervisor.assignments[TaskId("c", 1)].connector_config["topic"] == "t"

    play(scenario)


def test_what_is_known_of_tasks_can_be_listed(play: Callable[[Scenario], None]) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        await create(herder)
        await wait_for(herder, R, R)
        (view,) = herder.task_views()
        assert view.id == TaskId("c", 0)
        assert view.type == "source"
        assert view.report.condition == "RUNNING"
        assert view.slot["records_in"] == 0
        assert view.log_file is not None
        assert view.log_file.name == "c-0.log"
        assert herder.worker_view().kafka_cluster_id == "cluster"
        assert herder.is_ready()

    play(scenario)


def test_every_problem_of_a_configuration_is_named_at_once(
    play: Callable[[Scenario], None],
) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        config = {**sample(**{"tasks.max": "0", "errors.tolerance": "some"})}
        del config["topic"]
        with pytest.raises(BadRequestError) as refused:
            await herder.put_connector_config("c", config, allow_replace=False)
        text = str(refused.value)
        assert text.startswith(
            "Connector configuration is invalid and contains the following 3 error(s):\n"
            "Invalid value 0 for configuration tasks.max: Value must be at least 1\n"
            "Invalid value some for configuration errors.tolerance: "
            "String must be one of: none, all\n"
            'Missing required configuration "topic" which has no default value.\n'
        )
        assert text.endswith("`/connector-plugins/{connectorType}/config/validate`")
        assert await herder.connectors() == []

    play(scenario)


def test_a_connector_may_find_problems_of_its_own(play: Callable[[Scenario], None]) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        with pytest.raises(BadRequestError, match="topic is forbidden"):
            await create(herder, topic="forbidden")

    play(scenario)


def test_a_null_is_no_value(play: Callable[[Scenario], None]) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        with pytest.raises(BadRequestError, match="Null value can not be supplied"):
            await herder.put_connector_config(
                "c", {**sample(), "nobody": None}, allow_replace=False
            )

    play(scenario)


def test_an_unknown_class_is_answered_with_what_is_installed(
    play: Callable[[Scenario], None],
) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        with pytest.raises(BadRequestError, match=r"matches no\.such\.A, available connectors are"):
            await create(herder, **{"connector.class": "no.such.A"})
        with pytest.raises(BadRequestError, match=r"\{name=c\} contains no connector type"):
            await herder.put_connector_config("c", {}, allow_replace=False)

    play(scenario)


def test_an_existing_name_is_refused_after_validation(play: Callable[[Scenario], None]) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        await create(herder)
        with pytest.raises(AlreadyExistsError, match="Connector c already exists"):
            await create(herder)
        with pytest.raises(BadRequestError):
            await create(herder, **{"tasks.max": "0"})

    play(scenario)


def test_another_name_inside_the_configuration_is_refused(
    play: Callable[[Scenario], None],
) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        with pytest.raises(BadRequestError, match=r"\(inner\) doesn't match .* the URL \(c\)"):
            await herder.put_connector_config("c", sample(name="inner"), allow_replace=False)

    play(scenario)


def test_a_key_that_no_task_reads_restarts_no_task(play: Callable[[Scenario], None]) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        await herder.put_connector_config("c", sample(**{"tasks.max": "1"}), allow_replace=True)
        await wait_for(herder, R, R)
        before = supervisor.pids()
        changed = sample(**{"tasks.max": "3"})
        await herder.put_connector_config("c", changed, allow_replace=True)
        await wait_for(herder, R, R, R, R)
        assert supervisor.pids() | before == supervisor.pids()
        fewer = {**changed, "tasks.max": "2", "engine.restart.max": "3"}
        is_new, info = await herder.put_connector_config("c", fewer, allow_replace=True)
        assert not is_new
        assert len(info.tasks) == 2
        await wait_for(herder, R, R, R)
        assert supervisor.pids() | before == supervisor.pids()
        await wait_until(lambda: len(supervisor.named(Desire)) == 5)
        assert supervisor.named(Drop) == [Drop("c", 2)]
        assert [d.supervision.restart.max_restarts for d in supervisor.named(Desire)[-2:]] == [3, 3]  # type: ignore[union-attr]

    play(scenario)


def test_a_changed_converter_gives_tasks_fresh_processes(
    play: Callable[[Scenario], None],
) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        await create(herder)
        await wait_for(herder, R, R)
        before = supervisor.pids()
        await herder.patch_connector_config(
            "c", {"value.converter": "org.apache.kafka.connect.json.JsonConverter"}
        )
        await wait_until(lambda: supervisor.pids() != before)
        await wait_for(herder, R, R)

    play(scenario)


def test_a_patch_changes_and_removes_keys(play: Callable[[Scenario], None]) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        await create(herder, shared="x")
        info = await herder.patch_connector_config("c", {"shared": None, "topic": "u"})
        assert info.config == {**sample(topic="u"), "name": "c"}
        with pytest.raises(BadRequestError, match='Missing required configuration "name"'):
            await herder.patch_connector_config("c", {"name": None})
        with pytest.raises(NotFoundError, match="Connector nope not found"):
            await herder.patch_connector_config("nope", {})

    play(scenario)


def test_patches_at_the_same_time_all_count(play: Callable[[Scenario], None]) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        await create(herder)
        await asyncio.gather(
            *(herder.patch_connector_config("c", {f"engine.x{n}": "1"}) for n in range(4))
        )
        config = (await herder.connector_info("c")).config
        assert {f"engine.x{n}" for n in range(4)} <= config.keys()

    play(scenario)


def test_pause_keeps_the_tasks_and_stop_ends_them(play: Callable[[Scenario], None]) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        await create(herder)
        await wait_for(herder, R, R)
        pids = supervisor.pids()
        for _ in range(2):
            await herder.pause_connector("c")
            await wait_for(herder, P, P)
        assert supervisor.pids() == pids
        await herder.resume_connector("c")
        await wait_for(herder, R, R)
        for _ in range(2):
            await herder.stop_connector("c")
            assert told(await herder.connector_status("c")) == (S, [])
            assert supervisor.tasks == {}
            assert await herder.task_configs("c") == []
        await herder.pause_connector("c")
        assert told(await herder.connector_status("c")) == (P, [])
        await herder.resume_connector("c")
        await wait_for(herder, R, R)

    play(scenario)


@pytest.mark.parametrize("target", [TargetState.PAUSED, TargetState.STOPPED])
def test_a_connector_made_paused_or_stopped_has_no_tasks_until_it_is_resumed(
    play: Callable[[Scenario], None], target: TargetState
) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        _, info = await herder.put_connector_config(
            "c", sample(), initial_state=target, allow_replace=False
        )
        assert info.tasks == []
        assert info.type == "source"
        assert told(await herder.connector_status("c")) == (State(target), [])
        await herder.resume_connector("c")
        await wait_for(herder, R, R)

    play(scenario)


def test_a_deleted_connector_is_gone_with_its_tasks(play: Callable[[Scenario], None]) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        await create(herder)
        await wait_for(herder, R, R)
        await herder.delete_connector("c")
        assert supervisor.tasks == {}
        assert herder.task_views() == []
        with pytest.raises(NotFoundError, match="No status found for connector c"):
            await herder.connector_status("c")
        with pytest.raises(NotFoundError, match="Connector c not found"):
            await herder.delete_connector("c")

    play(scenario)


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


def test_unknown_connectors_are_answered_in_upstreams_words(
    play: Callable[[Scenario], None],
) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        with pytest.raises(NotFoundError, match="Unknown connector nope"):
            await herder.pause_connector("nope")
        with pytest.raises(NotFoundError, match="Unknown connector nope"):
            await herder.resume_connector("nope")
        with pytest.raises(ConnectError, match="No connector `nope` configured"):
            await herder.stop_connector("nope")
        with pytest.raises(NotFoundError, match="Unknown connector: nope"):
            await herder.restart_connector("nope")
        with pytest.raises(NotFoundError, match="No status found for task nope-0"):
            await herder.task_status(TaskId("nope", 0))

    play(scenario)


def test_plugins_their_keys_and_validation_can_be_asked_for(
    play: Callable[[Scenario], None],
) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        connectors = await herder.plugins(connectors_only=True)
        assert {p.type for p in connectors} == {"source", "sink"}
        assert len(await herder.plugins(connectors_only=False)) > len(connectors)
        keys = await herder.plugin_config("FileStreamSource")
        assert {"topic", "file", "tasks.max"} <= {key.name for key in keys}
        with pytest.raises(NotFoundError, match=r"Unknown plugin Nope\."):
            await herder.plugin_config("Nope")
        infos = await herder.validate({**sample(), "name": "c", "tasks.max": "x"})
        assert infos.error_count == 2
        assert infos.groups[0] == "Common"

    play(scenario)


def test_a_source_without_offsets_has_none(play: Callable[[Scenario], None]) -> None:
    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        await create(herder)
        assert await herder.connector_offsets("c") == ()

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
