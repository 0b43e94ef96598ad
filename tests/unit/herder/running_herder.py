"""A herder in this process, on the other end of a fake supervisor's socket."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from engine.herder.herder import Herder
from engine.herder.main import Close, HerderProcess
from engine.wire.herder_message import ConnectorFile, HerderBoot
from tests.unit.herder.fake_supervisor import FakeSupervisor, wait_until
from tests.unit.herder.sample_connector import NAME

WORKER = {
    "bootstrap.servers": "127.0.0.1:1",
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    "engine.plan.timeout.ms": "5000",
    "task.shutdown.graceful.timeout.ms": "300",
}


def sample(**changes: str) -> dict[str, str]:
    """A connector's configuration."""
    return {"connector.class": NAME, "topic": "t"} | changes


@asynccontextmanager
async def running(
    supervisor: FakeSupervisor,
    data_dir: Path,
    files: Sequence[ConnectorFile] = (),
    worker: Mapping[str, str] | None = None,
) -> AsyncIterator[Herder]:
    """A herder that is ready, until the supervisor closes its socket."""
    process = HerderProcess(boot_of(data_dir, files, worker))
    life = asyncio.create_task(process.run(supervisor.connect(), _no_rest))
    try:
        await wait_until(lambda: supervisor.is_ready or life.done())
        assert process.herder is not None, await life
        yield process.herder
    finally:
        supervisor.disconnect()
        assert await life == 0
        process.close()


async def run_until_refused(
    supervisor: FakeSupervisor, data_dir: Path, files: Sequence[ConnectorFile]
) -> int:
    """The exit code of a herder that does not come up."""
    process = HerderProcess(boot_of(data_dir, files))
    try:
        return await process.run(supervisor.connect(), _no_rest)
    finally:
        process.close()


def boot_of(
    data_dir: Path, files: Sequence[ConnectorFile] = (), worker: Mapping[str, str] | None = None
) -> HerderBoot:
    """A boot message."""
    return HerderBoot(
        worker={**WORKER, **(worker or {})},
        connectors=list(files),
        data_dir=str(data_dir),
        worker_id="127.0.0.1:8083",
        kafka_cluster_id="cluster",
    )


async def _no_rest(_herder: Herder, _sock: socket.socket) -> Close:
    raise AssertionError("there is no socket to serve on")
