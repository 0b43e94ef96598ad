"""Every test of the REST API talks HTTP to a real server over a herder in memory."""

from collections.abc import Iterator

import pytest

from tests.unit.rest.fake_herder import FakeHerder
from tests.unit.rest.rest_server import RestServer, serving


@pytest.fixture
def herder() -> FakeHerder:
    return FakeHerder()


@pytest.fixture
def server(herder: FakeHerder) -> Iterator[RestServer]:
    with serving(herder) as running:
        yield running
