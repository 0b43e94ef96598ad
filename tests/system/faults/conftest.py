"""An engine for a whole module of faults, and engines of a test's own."""

import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.system.faults.standstill import frozen_disk, full_group
from tests.system.faults.supervised import SupervisedEngine
from tests.system.running_engine import wait_for


@pytest.fixture(scope="module")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupervisedEngine]:
    """Started once; in the end it stops in good order and leaves nothing."""
    with SupervisedEngine(tmp_path_factory.mktemp("engine")).running() as engine:
        assert isinstance(engine, SupervisedEngine)
        yield engine


@pytest.fixture
def engine(shared_engine: SupervisedEngine) -> Iterator[SupervisedEngine]:
    """The module's engine. After the test: promises kept, connectors gone, nothing leaked."""
    before = shared_engine.footprint()
    yield shared_engine
    shared_engine.check_promises()
    for name in shared_engine.ask("/connectors").body:
        shared_engine.delete(name)
    wait_for(lambda: _grown(before, shared_engine.footprint()) == {})
    wait_for(lambda: shared_engine.series_of_connectors() == [])


def _grown(before: dict[str, int], after: dict[str, int]) -> dict[str, tuple[int, int]]:
    """What grew that must not; a plan child, which comes and goes, has a few descriptors."""
    return {
        key: (before[key], after[key])
        for key in ("descriptors", "threads", "zombies", "children", "groups")
        if after[key] > before[key] + (5 if key == "descriptors" else 0)
    }


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[Callable[[], Path]]:
    """Freezes a file system of its own: whoever writes to it then waits beyond any signal."""
    with frozen_disk(tmp_path) as freeze:
        yield freeze


@pytest.fixture
def few_processes() -> Iterator[Callable[[int], Path]]:
    """Puts a process into a group that takes no further one; its ``pids.max`` is the test's."""
    with full_group() as confine:
        yield confine


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A connector's name that tells the test."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())
    return f"{words[:30].strip('-')}-{zlib.crc32(words.encode()):08x}"


@pytest.fixture
def own_engine(tmp_path: Path) -> Iterator[Callable[..., SupervisedEngine]]:
    """Makes engines for this test alone, which keep their promises to the end and leave nothing."""
    with ExitStack() as stack:
        engines = []

        def make(**arguments: object) -> SupervisedEngine:
            made = SupervisedEngine(tmp_path / "engine", **arguments)  # type: ignore[arg-type]
            stack.enter_context(made.ended())
            engines.append(made)
            return made

        yield make
        for each in engines:
            each.check_end()
