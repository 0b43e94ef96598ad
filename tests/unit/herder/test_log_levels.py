"""Levels of logging as the herder shows, changes and spreads them."""

import asyncio
from pathlib import Path
from typing import Any, TypeVar

import pytest

from engine.api.errors import NotFoundError
from engine.wire import log_sequence
from engine.wire.herder_message import LogLevelsSet, Remark, SetLogLevels
from tests.unit.herder.fake_supervisor import FakeSupervisor, wait_until
from tests.unit.herder.running_herder import running, sample

T = TypeVar("T")


def of(supervisor: FakeSupervisor, kind: type[T]) -> list[T]:
    """Everything that the supervisor heard of one kind."""
    return [each for each in supervisor.heard if isinstance(each, kind)]


@pytest.fixture(autouse=True)
def _plain_levels() -> Any:
    """The herder is in this process."""
    yield
    log_sequence.set_levels({})


def test_levels_are_those_of_the_configuration_until_somebody_sets_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        supervisor = FakeSupervisor()
        worker = {"engine.log.level": "warn"}
        async with running(supervisor, tmp_path, worker=worker) as herder:
            config = sample(**{"engine.log.level": "ERROR"})
            await herder.put_connector_config("c", config, allow_replace=False)
            levels = await herder.log_levels(None)
            assert levels["root"] == ("WARN", None)
            assert (await herder.log_levels("c"))["root"] == ("ERROR", None)

            assert await herder.set_log_level("c", "engine", "DEBUG") == [
                "engine", "engine.supervisor", "engine.task", "engine.task.sink",
                "engine.task.source",
            ]  # fmt: skip
            level, modified = (await herder.log_levels("c"))["engine"]
            assert level == "DEBUG"
            assert modified is not None
            assert modified > 1_600_000_000_000
            assert (await herder.log_levels(None))["engine"] == ("WARN", None)
            assert await herder.set_log_level("c", "engine", "DEBUG") == []
            await wait_until(lambda: len(of(supervisor, SetLogLevels)) == 2)
        (first, _) = of(supervisor, SetLogLevels)
        assert (first.connector, first.by) == ("c", "herder")
        assert {name: each.level for name, each in first.levels.items()} == {"engine": "DEBUG"}
        told = [each for each in of(supervisor, Remark) if each.event == "level_changed"]
        assert [each.fields for each in told] == [
            {"connector": "c", "logger": "engine", "to": "DEBUG"}
        ]
        supervisor.close()

    asyncio.run(scenario())


def test_a_connector_that_nobody_knows_has_no_levels(tmp_path: Path) -> None:
    async def scenario() -> None:
        supervisor = FakeSupervisor()
        async with running(supervisor, tmp_path) as herder:
            with pytest.raises(NotFoundError):
                await herder.log_levels("nobody")
            with pytest.raises(NotFoundError):
                await herder.set_log_level("nobody", "root", "DEBUG")
        supervisor.close()

    asyncio.run(scenario())


def test_a_new_herder_knows_what_an_earlier_one_has_set(tmp_path: Path) -> None:
    async def scenario() -> None:
        supervisor = FakeSupervisor()
        async with running(supervisor, tmp_path) as herder:
            await herder.put_connector_config("c", sample(), allow_replace=False)
            await herder.set_log_level("c", "root", "DEBUG")
            await herder.set_log_level(None, "engine.task", "TRACE")
            await wait_until(lambda: len(of(supervisor, SetLogLevels)) == 2)
        supervisor.levels = [
            LogLevelsSet(each.connector, each.levels) for each in of(supervisor, SetLogLevels)
        ]
        async with running(supervisor, tmp_path) as herder:
            assert (await herder.log_levels("c"))["root"][0] == "DEBUG"
            assert (await herder.log_levels(None))["engine.task"][0] == "TRACE"
        supervisor.close()

    asyncio.run(scenario())


def test_the_levels_of_a_deleted_connector_are_not_those_of_its_next_namesake(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        supervisor = FakeSupervisor()
        async with running(supervisor, tmp_path) as herder:
            await herder.put_connector_config("c", sample(), allow_replace=False)
            await herder.set_log_level("c", "root", "DEBUG")
            await herder.delete_connector("c")
            await wait_until(lambda: of(supervisor, SetLogLevels)[-1].levels == {})
            await herder.put_connector_config("c", sample(), allow_replace=False)
            assert (await herder.log_levels("c"))["root"] == ("INFO", None)
        supervisor.close()

    asyncio.run(scenario())


def test_what_people_do_is_told_to_the_journal_without_a_value(tmp_path: Path) -> None:
    async def scenario() -> None:
        supervisor = FakeSupervisor()
        async with running(supervisor, tmp_path) as herder:
            await herder.put_connector_config("c", sample(password="x"), allow_replace=False)
            await herder.put_connector_config("c", sample(password="y"), allow_replace=True)
            await herder.pause_connector("c")
            await herder.delete_connector("c")
            await wait_until(lambda: len(of(supervisor, Remark)) == 4)
        told = [(each.event, each.fields) for each in of(supervisor, Remark)]
        keys = ["connector.class", "name", "password", "topic"]
        assert told == [
            ("connector_created", {"connector": "c", "version": 1, "keys": keys}),
            ("config_changed", {"connector": "c", "version": 2, "keys": ["password"]}),
            ("target_state_changed", {"connector": "c", "from": "STARTED", "to": "PAUSED"}),
            ("connector_deleted", {"connector": "c"}),
        ]
        supervisor.close()

    asyncio.run(scenario())
