"""Reading the connector files again: what changed is applied, what is broken stays as it was."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from engine.herder.herder import Herder
from engine.herder.main import HerderProcess
from engine.wire.herder_message import ConnectorFile, Reloaded
from tests.unit.herder.fake_supervisor import FakeSupervisor, data_dir_in, wait_until
from tests.unit.herder.running_herder import WORKER, _no_rest, boot_of, sample


@dataclass
class Files:
    """Files of a command line, and the herder that was started with them."""

    directory: Path
    supervisor: FakeSupervisor
    herder: Herder

    def write(self, file: str, **config: str) -> None:
        write(self.directory / f"{file}.properties", config)

    async def topic(self, connector: str) -> str:
        return (await self.herder.connector_info(connector)).config["topic"]


def write(path: Path, config: dict[str, str]) -> None:
    path.write_text("".join(f"{key}={value}\n" for key, value in config.items()))


@asynccontextmanager
async def started(directory: Path) -> AsyncIterator[Files]:
    """A herder with connectors ``a`` and ``b`` of files, and one that came over REST."""
    files, paths = [], [str(directory / "more")]
    (directory / "more").mkdir()
    for name in ("a", "b"):
        paths.append(str(directory / f"{name}.properties"))
        write(Path(paths[-1]), {**sample(), "name": name})
        files.append(ConnectorFile(name, {**sample(), "name": name}))
    worker = directory / "worker.properties"
    write(worker, WORKER)
    boot = msgspec.structs.replace(
        boot_of(data_dir_in(directory), files),
        worker_path=str(worker),
        connector_paths=tuple(paths),
        fixed_keys=("fixed",),
    )
    supervisor = FakeSupervisor()
    process = HerderProcess(boot)
    life = asyncio.create_task(process.run(supervisor.connect(), _no_rest))
    await wait_until(lambda: supervisor.is_ready or life.done())
    assert process.herder is not None
    await process.herder.put_connector_config("rest", sample(), allow_replace=False)
    try:
        yield Files(directory, supervisor, process.herder)
    finally:
        supervisor.disconnect()
        await life
        process.close()
        supervisor.close()


def test_one_that_is_broken_stays_and_the_others_are_applied(tmp_path: Path) -> None:
    """F28."""

    async def scenario() -> None:
        async with started(tmp_path) as files:
            pids = files.supervisor.pids()
            files.write("a", **sample(topic="new"), name="a")
            (tmp_path / "b.properties").write_text("name=b\ntopic=\\u00zz\n")
            reloaded = await files.herder.reload()
            assert reloaded.changed == {"a": "updated"}
            (problem,) = reloaded.problems
            assert problem.startswith(f"{tmp_path}/b.properties:2: ")
            assert await files.topic("a") == "new"
            assert await files.topic("b") == "t"
            after = files.supervisor.pids()
            assert {name for name in pids if pids[name] != after[name]} == {"a-0"}

    asyncio.run(scenario())


def test_a_configuration_that_is_refused_leaves_the_old_one_running(tmp_path: Path) -> None:
    """F28."""

    async def scenario() -> None:
        async with started(tmp_path) as files:
            files.write("b", **sample(**{"errors.tolerance": "some"}), name="b")
            reloaded = await files.herder.reload()
            assert reloaded.changed == {}
            (problem,) = reloaded.problems
            assert problem.startswith("connector b: ")
            assert "errors.tolerance" in problem
            assert await files.topic("b") == "t"

    asyncio.run(scenario())


def test_a_file_of_another_name_replaces_its_connector_and_rest_made_ones_stay(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with started(tmp_path) as files:
            files.write("b", **sample(), name="c")
            reloaded = await files.herder.reload()
            assert reloaded == Reloaded({"c": "created", "b": "deleted"})
            assert await files.herder.connectors() == ["a", "c", "rest"]
            files.write("b", **sample(), name="a")
            (problem,) = (await files.herder.reload()).problems
            assert problem == f"{tmp_path}/b.properties: connector a has another file already"
            assert await files.herder.connectors() == ["a", "c", "rest"]
            (tmp_path / "b.properties").unlink()
            (problem,) = (await files.herder.reload()).problems
            assert problem == f"{tmp_path}/b.properties: No such file or directory"
            assert await files.herder.connectors() == ["a", "c", "rest"]

    asyncio.run(scenario())


def test_files_come_and_go_in_a_directory_of_the_command_line(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(tmp_path) as files:
            files.write("more/c", **sample(), name="c")
            files.write("more/.hidden", **sample(), name="hidden")
            (tmp_path / "more" / "c.properties~").write_text("")
            assert await files.herder.reload() == Reloaded({"c": "created"})
            (tmp_path / "more" / "c.properties").unlink()
            assert await files.herder.reload() == Reloaded({"c": "deleted"})

    asyncio.run(scenario())


def test_a_reload_without_changes_touches_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(tmp_path) as files:
            pids = files.supervisor.pids()
            assert await files.herder.reload() == Reloaded()
            assert files.supervisor.pids() == pids

    asyncio.run(scenario())


def test_what_changed_of_the_worker_is_told_with_what_applies_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(tmp_path) as files:
            changed = {**WORKER, "fixed": "x", "offset.flush.interval.ms": "7"}
            write(tmp_path / "worker.properties", changed)
            files.supervisor.reload()
            await wait_until(lambda: bool(files.supervisor.named(Reloaded)))
            path = tmp_path / "worker.properties"
            (reloaded,) = files.supervisor.named(Reloaded)
            assert reloaded == Reloaded(pending=(
                f"offset.flush.interval.ms has changed in {path}; engine ctl upgrade applies it",
            ))  # fmt: skip

    asyncio.run(scenario())
