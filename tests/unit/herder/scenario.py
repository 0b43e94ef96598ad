"""What happens to a herder in a test, and what its connectors' states are told as."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from engine.herder.herder import ConnectorStateInfo, Herder
from engine.model.state import State
from tests.unit.herder.fake_supervisor import FakeSupervisor
from tests.unit.herder.running_herder import sample

Scenario = Callable[[Herder, FakeSupervisor], Coroutine[Any, Any, None]]


async def create(herder: Herder, name: str = "c", **config: str) -> None:
    await herder.put_connector_config(name, sample(**config), allow_replace=False)


def told(status: ConnectorStateInfo) -> tuple[State, list[State]]:
    return status.connector.state, [status.tasks[n].state for n in sorted(status.tasks)]


async def wait_for(herder: Herder, connector: State, *tasks: State, name: str = "c") -> None:
    async with asyncio.timeout(10):
        while told(await herder.connector_status(name)) != (connector, list(tasks)):  # noqa: ASYNC110 (the loop itself is what must turn)
            await asyncio.sleep(0.005)


R, F, P, S = State.RUNNING, State.FAILED, State.PAUSED, State.STOPPED
