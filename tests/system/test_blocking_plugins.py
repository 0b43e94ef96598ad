"""A plugin that blocks in any of its methods hurts nobody else (upstream: BlockingConnectorTest).

Upstream proves that its herder goes on; here the process that blocks is ended as well: after a
DELETE none of its processes is left.
"""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka import Producer

from tests.system.faults.supervised import SupervisedEngine
from tests.system.running_engine import Answer, wait_for

pytestmark = [pytest.mark.broker, pytest.mark.system, pytest.mark.timeout(120)]

WORKER = {
    "engine.plan.timeout.ms": 1500,
    "engine.start.timeout.ms": 4000,
    "engine.heartbeat.timeout.ms": 4000,
    "offset.flush.interval.ms": 200,
    "task.shutdown.graceful.timeout.ms": 500,
}


class BlockingEngine(SupervisedEngine):
    """Has connectors that block, and a calm one beside them."""

    def blocking(self, where: str, topic: str, **keys: str) -> dict[str, str]:
        """The configuration of a connector that blocks there."""
        sort = "Sink" if where.startswith("Sink") else "Source"
        return {
            "connector.class": f"blocking.Blocking{sort}", "block": where, "tasks.max": "1",
            "marks.dir": str(self.orders), **({"topics": topic} if sort == "Sink" else {}), **keys,
        }  # fmt: skip

    def put_connector(self, name: str, config: dict[str, str]) -> Answer:
        """Ask for it; the answer may be that it cannot be had."""
        return self.ask(f"/connectors/{name}/config", "PUT", config)

    def wait_blocked(self, name: str) -> None:
        """Wait until the connector blocks."""
        wait_for((self.orders / name).exists)

    def wait_assigned(self, name: str) -> None:
        """Wait until a sink has a partition to lose."""
        wait_for(lambda: self.task(name)["partitions"])

    def wait_no_process(self, name: str) -> None:
        """Wait until nothing of it is left."""
        wait_for(lambda: self.processes_of(name) == [])

    def processes_of(self, name: str) -> list[str]:
        """Titles of all processes that a connector has."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):
                title = " ".join(child.cmdline()).strip()
                if name in title and child.status() != psutil.STATUS_ZOMBIE:
                    found.append(title)
        return found


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, kafka_process: Any
) -> Iterator[BlockingEngine]:
    """Started once, with a calm connector."""
    worker = {**WORKER, "bootstrap.servers": kafka_process.address}
    engine = BlockingEngine(tmp_path_factory.mktemp("blocking"), worker, {"calm": {}})
    with engine.running():
        engine.wait_state("calm", "RUNNING")
        yield engine


@pytest.fixture
def engine(running: BlockingEngine) -> Iterator[BlockingEngine]:
    """Whatever the test does, the calm one does not notice."""
    before = running.wait_state("calm", "RUNNING")
    yield running
    after = running.task("calm")
    assert (after["pid"], after["condition"]) == (before["pid"], "RUNNING")
    assert after["heartbeat_age_seconds"] < 4
    running.check_promises()


@pytest.fixture
def filled(kafka: str, topic: str) -> str:
    """A topic with a record."""
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(topic, b"a record")
    assert producer.flush(30) == 0
    return topic


def create_and_delete_another(engine: BlockingEngine, name: str) -> None:
    """Somebody else's connector comes and goes as if nothing were."""
    engine.create(name)
    engine.wait_state(name, "RUNNING")
    engine.delete(name)


def test_a_connector_that_blocks_costs_its_own_request_alone(engine: BlockingEngine) -> None:
    places = ["validate", "start", "task_configs", "stop"]
    configs = {
        f"blocked-{place.replace('_', '-')}": engine.blocking(f"Connector.{place}", "")
        for place in places
    }
    for place in ("Config", "Initialize"):
        configs[f"blocked-{place}"] = engine.blocking("", "") | {
            "connector.class": f"blocking.Blocking{place}"
        }

    with ThreadPoolExecutor(len(configs)) as clients:
        answers = {
            name: clients.submit(engine.put_connector, name, config)
            for name, config in configs.items()
        }
        create_and_delete_another(engine, "another")
        outcomes = {name: answer.result() for name, answer in answers.items()}

    for name, answer in outcomes.items():
        assert answer.status in (201, 400, 500), (name, answer)
        assert "deadline of 1.5 s exceeded" in str(answer.body) or answer.status == 201, answer
        deleted = engine.ask(f"/connectors/{name}", "DELETE")
        assert deleted.status in (204, 404), deleted
        engine.wait_no_process(name)


@pytest.mark.parametrize(
    "places",
    [
        ["SourceTask.initialize", "SourceTask.start", "SourceTask.poll", "SourceTask.commit",
         "SourceTask.stop"],
        ["SinkTask.initialize", "SinkTask.start", "SinkTask.open", "SinkTask.put",
         "SinkTask.flush", "SinkTask.close", "SinkTask.stop"],
    ],
    ids=["source", "sink"],
)  # fmt: skip
def test_after_a_delete_no_process_is_left_of_a_task_that_blocks(
    engine: BlockingEngine, filled: str, places: list[str]
) -> None:
    at_the_end = {"SourceTask.stop", "SinkTask.close", "SinkTask.stop"}
    names = {f"blocked-in-{place.lower().replace('.', '-')}": place for place in places}
    for name, place in names.items():
        assert engine.put_connector(name, engine.blocking(place, filled)).status == 201
    for name, place in names.items():
        if place in at_the_end:
            engine.wait_state(name, "RUNNING")
            if place.startswith("Sink"):
                engine.wait_assigned(name)
        else:
            engine.wait_blocked(name)
    create_and_delete_another(engine, f"another-{places[0][:4].lower()}")

    with ThreadPoolExecutor(len(names)) as clients:
        answers = list(clients.map(lambda name: engine.ask(f"/connectors/{name}", "DELETE"), names))

    assert [answer.status for answer in answers] == [204] * len(names)
    for name, place in names.items():
        assert engine.processes_of(name) == []
        if place in at_the_end:
            assert (engine.orders / name).exists(), name


def test_a_task_that_blocks_is_told_of_and_started_again(
    engine: BlockingEngine, filled: str
) -> None:
    config = engine.blocking("SinkTask.flush", filled) | {"engine.stage.flush.timeout.ms": "700"}
    assert engine.put_connector("flush", config).status == 201

    wait_for(lambda: engine.task("flush")["restarts"].get("unresponsive"))

    death = engine.ask("/engine/tasks/flush/0/explain").body["death"]
    assert (death["stage"], death["exit_class"]) == ("flush", "unresponsive")
    assert death["in_hand"] == f"{filled}-0@0 to {filled}-0@0, 1 records"
    assert "in flush" in death["stacks"]
    engine.delete("flush")


def test_a_worker_with_blocked_tasks_stops_and_starts(
    tmp_path: Path, kafka: str, unique: Callable[[str], str]
) -> None:
    engine = BlockingEngine(tmp_path / "engine", {**WORKER, "bootstrap.servers": kafka})
    with engine.ended():
        for _ in range(2):
            engine.start()
            engine.wait_ready()
            for place in ("start", "stop"):
                name = f"blocked-{place}"
                config = engine.blocking(f"SourceTask.{place}", "")
                assert engine.put_connector(name, config).status in (200, 201)
            engine.wait_blocked("blocked-start")
            engine.wait_state("blocked-stop", "RUNNING")

            assert engine.stop() == 0

            assert engine.survivors() == []
