"""A standalone herder over a supervisor that only says what a real one would say."""

import asyncio
from collections.abc import Callable

import pytest

from engine.api.errors import AlreadyExistsError, ConnectError, NotFoundError
from engine.herder.herder import BadRequestError, Herder
from engine.model.state import State, TargetState
from engine.model.task_id import TaskId
from engine.wire.herder_message import Desire, Drop, Remark
from tests.unit.herder.fake_supervisor import FakeSupervisor, wait_until
from tests.unit.herder.running_herder import sample
from tests.unit.herder.scenario import P, R, S, Scenario, create, told, wait_for


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


NOT_STOPPED = "must be in the STOPPED state before their offsets .* '/connectors/c/stop' endpoint"


def test_offsets_are_changed_of_a_stopped_connector_only(play: Callable[[Scenario], None]) -> None:
    change = ({"shelf": "a"}, {"number": 7})

    async def scenario(herder: Herder, supervisor: FakeSupervisor) -> None:
        with pytest.raises(NotFoundError, match="Connector c not found"):
            await herder.change_offsets("c", [change])
        await create(herder)
        await wait_for(herder, R, R)
        for halt in (None, herder.pause_connector):
            if halt is not None:
                await halt("c")
            for changes in ([change], None):
                with pytest.raises(BadRequestError, match=NOT_STOPPED):
                    await herder.change_offsets("c", changes)
        await herder.stop_connector("c")
        assert not await herder.change_offsets("c", [change])  # the sample does not override it
        assert await herder.connector_offsets("c") == (change,)
        assert not await herder.change_offsets("c", None)
        assert await herder.connector_offsets("c") == ()
        await wait_until(lambda: Remark("offsets_reset", {"connector": "c"}) in supervisor.heard)
        assert Remark("offsets_altered", {"connector": "c", "partitions": 1}) in supervisor.heard

    play(scenario)
