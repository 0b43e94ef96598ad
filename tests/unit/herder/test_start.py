"""How a herder begins: after nothing, after another herder, after another engine."""

import asyncio
import json
from pathlib import Path

import pytest

from engine.herder import worker_connectors
from engine.herder.herder import Herder
from engine.herder.main import EXIT_REFUSED, plugin_problem
from engine.herder.task_publisher import TaskPublisher
from engine.model.config_file import parse_connector_file
from engine.model.state import State, TargetState
from engine.model.task_id import TaskId
from engine.wire.herder_message import (  # fmt: skip
    Ack,
    ConnectorFile,
    Desire,
    Drop,
    HerderReady,
    Plan,
    Refused,
    Remark,
    SyncEnd,
)
from tests.unit.herder.fake_supervisor import FakeSupervisor, wait_until
from tests.unit.herder.running_herder import run_until_refused, running, sample


def file(name: str = "f", state: TargetState | None = None, **changes: str) -> ConnectorFile:
    return ConnectorFile(name, sample(**changes), state)


async def wait_for_task(herder: Herder, name: str, state: State = State.RUNNING) -> None:
    async with asyncio.timeout(10):
        while (await herder.task_status(TaskId(name, 0))).state is not state:  # noqa: ASYNC110 (the loop must turn)
            await asyncio.sleep(0.005)


def kinds(supervisor: FakeSupervisor) -> list[str]:
    beside = (Ack, Remark)
    return [type(each).__name__ for each in supervisor.heard if not isinstance(each, beside)]


def test_connectors_of_the_command_line_run_before_the_herder_is_ready(tmp_path: Path) -> None:
    async def scenario() -> None:
        supervisor = FakeSupervisor()
        async with running(supervisor, tmp_path, [file("a"), file("b")]) as herder:
            assert await herder.connectors() == ["a", "b"]
            heard = kinds(supervisor)
            assert heard[:4] == ["SyncBegin", "SyncEnd", "Plan", "Plan"]
            assert heard.index("Desire") < heard.index("HerderReady")
            await wait_for_task(herder, "b")
        supervisor.close()

    asyncio.run(scenario())


def test_a_new_herder_changes_nothing_about_what_runs(tmp_path: Path) -> None:
    async def scenario() -> None:
        supervisor = FakeSupervisor()
        async with running(supervisor, tmp_path, [file()]) as herder:
            await herder.put_connector_config("r", sample(), allow_replace=False)
            await herder.pause_connector("r")
            await wait_for_task(herder, "r", State.PAUSED)
        before = supervisor.pids()
        supervisor.heard.clear()
        async with running(supervisor, tmp_path, [file()]) as herder:
            assert kinds(supervisor) == [
                "SyncBegin", "Desire", "Desire", "SyncEnd", "HerderReady",
            ]  # fmt: skip
            assert supervisor.named(SyncEnd) == [SyncEnd(1, 2)]
            assert await herder.connectors() == ["f", "r"]
            status = await herder.connector_status("r")
            assert status.connector.state is State.PAUSED
            assert status.tasks[0].state is State.PAUSED
            assert herder.task_views()[0].slot["records_in"] == 0
        assert supervisor.pids() == before
        supervisor.close()

    asyncio.run(scenario())


def test_what_rest_changed_survives_a_new_herder_but_not_a_new_engine(tmp_path: Path) -> None:
    async def scenario() -> None:
        supervisor = FakeSupervisor(epoch=1)
        async with running(supervisor, tmp_path, [file()]) as herder:
            await herder.patch_connector_config("f", {"topic": "changed"})
        async with running(supervisor, tmp_path, [file()]) as herder:
            assert (await herder.connector_info("f")).config["topic"] == "changed"
        supervisor.close()
        another = FakeSupervisor(epoch=2)
        async with running(another, tmp_path, [file()]) as herder:
            assert (await herder.connector_info("f")).config["topic"] == "t"
        another.close()

    asyncio.run(scenario())


def test_a_new_engine_starts_what_was_planned_before_it_plans_anew(tmp_path: Path) -> None:
    async def scenario() -> None:
        first = FakeSupervisor(epoch=1)
        async with running(first, tmp_path) as herder:
            await herder.put_connector_config("r", sample(), allow_replace=False)
        first.close()
        second = FakeSupervisor(epoch=2)
        async with running(second, tmp_path) as herder:
            assert kinds(second)[:4] == ["SyncBegin", "Desire", "SyncEnd", "Plan"]
            assert len(second.named(Desire)) == 1
            await wait_for_task(herder, "r")
        second.close()

    asyncio.run(scenario())


def test_connectors_of_the_command_line_live_only_while_they_are_named(tmp_path: Path) -> None:
    async def scenario() -> None:
        first = FakeSupervisor(epoch=1)
        async with running(first, tmp_path, [file()]) as herder:
            await herder.put_connector_config("r", sample(), allow_replace=False)
        first.close()
        second = FakeSupervisor(epoch=2)
        async with running(second, tmp_path) as herder:
            assert await herder.connectors() == ["r"]
        second.close()

    asyncio.run(scenario())


def test_an_initial_state_holds_back_the_tasks(tmp_path: Path) -> None:
    async def scenario() -> None:
        supervisor = FakeSupervisor()
        async with running(supervisor, tmp_path, [file(state=TargetState.STOPPED)]) as herder:
            info = await herder.connector_info("f")
            assert info.tasks == []
            assert info.type == "source"
            await herder.resume_connector("f")
            await wait_for_task(herder, "f")
        supervisor.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("word", "state"),
    [("RUNNING", State.RUNNING), ("PAUSED", State.PAUSED), ("STOPPED", State.STOPPED)],
)
def test_every_initial_state_that_a_file_may_name_is_obeyed(
    tmp_path: Path, word: str, state: State
) -> None:
    text = json.dumps({"name": "f", "config": sample(), "initial_state": word})
    parsed = parse_connector_file(text, "f.json")

    async def scenario() -> None:
        supervisor = FakeSupervisor()
        named = ConnectorFile(parsed.name, parsed.config, parsed.initial_state)
        async with running(supervisor, tmp_path, [named]) as herder:
            assert (await herder.connector_status("f")).connector.state is state
        supervisor.close()

    asyncio.run(scenario())


def test_an_invalid_connector_of_the_command_line_refuses_the_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        supervisor = FakeSupervisor()
        files = [file("good"), file("bad", None, **{"tasks.max": "0"})]
        assert await run_until_refused(supervisor, tmp_path, files) == EXIT_REFUSED
        assert supervisor.named(HerderReady) == []
        [refused] = supervisor.named(Refused)
        assert isinstance(refused, Refused)
        assert refused.connector == "bad"
        assert "Invalid value 0 for configuration tasks.max" in refused.problem
        supervisor.close()

    asyncio.run(scenario())


def test_a_connector_of_the_command_line_that_fails_hurts_no_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        supervisor = FakeSupervisor()
        files = [file("bad", fail="start"), file("good")]
        async with running(supervisor, tmp_path, files) as herder:
            await wait_for_task(herder, "good")
            status = await herder.connector_status("bad")
            assert status.connector.state is State.FAILED
            assert "cannot start" in (status.connector.trace or "")
        async with running(supervisor, tmp_path, files) as herder:
            again = await herder.connector_status("bad")
            assert again.connector.state is State.FAILED
        supervisor.close()

    asyncio.run(scenario())


def test_tasks_that_nobody_wants_any_more_are_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TaskPublisher, "longest_stop", lambda _self, _entry: 0.1)
    monkeypatch.setattr(worker_connectors, "_MARGIN", 0.0)

    async def scenario() -> None:
        supervisor = FakeSupervisor()
        supervisor.ignores_drops = True
        worker = {"task.shutdown.graceful.timeout.ms": "0"}
        async with running(supervisor, tmp_path, worker=worker) as herder:
            await herder.put_connector_config("r", sample(), allow_replace=False)
            await wait_for_task(herder, "r")
            await herder.delete_connector("r")
            assert list(supervisor.tasks) == [TaskId("r", 0)]
        supervisor.ignores_drops = False
        supervisor.heard.clear()
        async with running(supervisor, tmp_path):
            await wait_until(lambda: not supervisor.tasks)
            assert supervisor.named(Drop) == [Drop("r", 0)]
        supervisor.close()

    asyncio.run(scenario())


def test_events_are_acknowledged_and_told_again_to_the_next_herder_only_when_they_were_not(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        supervisor = FakeSupervisor()
        async with running(supervisor, tmp_path) as herder:
            await herder.put_connector_config("r", sample(), allow_replace=False)
            await wait_until(lambda: supervisor.acknowledged >= 2)
        supervisor.tell(TaskId("r", 0), "failed", condition="FAILED", trace="OSError: gone")
        assert supervisor.acknowledged == 2
        async with running(supervisor, tmp_path) as herder:
            await wait_until(lambda: supervisor.acknowledged == 3)
            assert (await herder.task_status(TaskId("r", 0))).trace == "OSError: gone"
            assert supervisor.named(Plan)[1:] == []
        supervisor.close()

    asyncio.run(scenario())


def test_a_plugin_that_hides_behind_one_of_ours_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plugin_problem() is None
    info = tmp_path / "acme-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[connect.connectors]\nFileStreamSource = acme:Source\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "Two distributions offer the connector FileStreamSource" in (plugin_problem() or "")
