"""What tests of a standalone herder share: a fresh one for each scenario."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.herder.fake_supervisor import FakeSupervisor
from tests.unit.herder.running_herder import running
from tests.unit.herder.scenario import Scenario


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
