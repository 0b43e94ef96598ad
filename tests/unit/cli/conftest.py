"""``engine ctl`` talks to a real server over a herder in memory."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from engine.cli.main import main
from tests.unit.rest.fake_herder import FakeHerder
from tests.unit.rest.rest_server import RestServer, serving


class Ended(NamedTuple):
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str


Engine = Callable[..., Ended]


@pytest.fixture
def herder() -> FakeHerder:
    return FakeHerder()


@pytest.fixture
def server(herder: FakeHerder) -> Iterator[RestServer]:
    with serving(herder) as running:
        yield running


@pytest.fixture
def engine(capsys: pytest.CaptureFixture[str]) -> Engine:
    """Run the ``engine`` command in this process."""

    def run(*arguments: str | Path) -> Ended:
        try:
            code = main([str(each) for each in arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run


@pytest.fixture
def ctl(engine: Engine, server: RestServer, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Run ``engine ctl`` against the server."""
    monkeypatch.setenv("ENGINE_URL", server.url)
    return lambda *arguments: engine("ctl", *arguments)
