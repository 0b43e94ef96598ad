"""Fixtures that all tests may use: a real Apache Kafka and fresh topics in it.

The broker starts with the first test that asks for it. One that cannot be started fails the tests.
"""

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.kafka.embedded.broker_process import BrokerProcess, run_broker

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a script
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def kafka_cache_dir() -> Path:
    """Where the broker's jars are kept between test sessions."""
    given = os.environ.get("ENGINE_CACHE_DIR")
    return Path(given) if given else Path.home() / ".cache" / "engine"


@pytest.fixture(scope="session")
def kafka_process(
    tmp_path_factory: pytest.TempPathFactory, kafka_cache_dir: Path
) -> Iterator[BrokerProcess]:
    """The session's broker. Shared: never stop or restart it, use ``own_kafka`` for that."""
    with run_broker(tmp_path_factory.mktemp("kafka"), kafka_cache_dir) as broker:
        yield broker


@pytest.fixture
def kafka(kafka_process: BrokerProcess) -> str:
    """``host:port`` of the session's broker."""
    return kafka_process.address


@pytest.fixture
def own_kafka(tmp_path: Path, kafka_cache_dir: Path) -> Iterator[BrokerProcess]:
    """A broker for this test alone, to be stopped, killed and restarted at will."""
    with run_broker(tmp_path / "kafka", kafka_cache_dir) as broker:
        yield broker


@pytest.fixture
def unique() -> Callable[[str], str]:
    """Makes names that nobody else uses: ``unique("lines")`` → ``lines-5f0c3a9b``."""
    return lambda name: f"{name}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def topic(request: pytest.FixtureRequest, unique: Callable[[str], str]) -> str:
    """A topic name that nobody else uses; the topic is made by its first use."""
    return unique(request.node.originalname[:60])
