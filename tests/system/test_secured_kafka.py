"""Connectors at a Kafka that wants to know who they are, and lets each do only some things."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.system.running_engine import RunningEngine, wait_for
from tests.system.secured_kafka import SecuredKafka, login, password, secured_kafka
from tests.system.test_dead_letters import Letters

pytestmark = [pytest.mark.broker, pytest.mark.system]

WRITER, READER, MAKER, NOBODY = "writer", "reader", "maker", "nobody"
LINES = ["one", "two", "three"]


@pytest.fixture(scope="module")
def kafka(
    tmp_path_factory: pytest.TempPathFactory, kafka_cache_dir: Path
) -> Iterator[SecuredKafka]:
    directory = tmp_path_factory.mktemp("secured")
    with secured_kafka(directory, kafka_cache_dir, (WRITER, READER, MAKER, NOBODY)) as broker:
        broker.allow(WRITER, "TOPIC", "WRITE")
        broker.allow(READER, "TOPIC", "READ")
        broker.allow(READER, "GROUP", "READ")
        broker.allow(MAKER, "TOPIC", "CREATE", "DESCRIBE", "DESCRIBE_CONFIGS", "DELETE")
        broker.allow(MAKER, "GROUP", "READ", "DELETE")
        yield broker


def worker(kafka: SecuredKafka, *logins: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {"bootstrap.servers": kafka.address, "offset.flush.interval.ms": 100}
    for each in logins:
        found.update(each)
    return found


def source(path: Path, topic: str, **more: object) -> dict[str, object]:
    file = path / "in.txt"
    file.write_text("".join(f"{line}\n" for line in LINES))
    return {"connector.class": "FileStreamSource", "file": file, "topic": topic, **more}


def sink(path: Path, topic: str, **more: object) -> dict[str, object]:
    return {
        "connector.class": "FileStreamSink", "file": path / "out.txt", "topics": topic, **more
    }  # fmt: skip


def creation(partitions: int) -> dict[str, object]:
    prefix = "topic.creation.default"
    return {f"{prefix}.partitions": partitions, f"{prefix}.replication.factor": 1}


def wait_failed(engine: RunningEngine, connector: str) -> str:
    """The trace of a task that is FAILED."""

    def trace() -> str | None:
        found = engine.ask(f"/connectors/{connector}/status").body["tasks"]
        return str(found[0]["trace"]) if found and found[0]["state"] == "FAILED" else None

    return wait_for(trace)


@pytest.mark.parametrize("whose", ["worker", "connector"])
def test_a_source_and_a_sink_log_in_each_as_another_user(
    tmp_path: Path, kafka: SecuredKafka, unique: Callable[[str], str], whose: str
) -> None:
    """The topic is made by a third one, whom ``admin.`` names: the writer may not."""
    topic = unique("lines")
    own = (login("producer.", WRITER), login("consumer.", READER), login("admin.", MAKER))
    over = (
        {**login("producer.override.", WRITER), **login("admin.override.", MAKER)},
        login("consumer.override.", READER),
    )
    by_worker = whose == "worker"
    making = creation(partitions=2)
    connectors = {
        unique("in"): source(tmp_path, topic, **making, **({} if by_worker else over[0])),
        unique("out"): sink(tmp_path, topic, **({} if by_worker else over[1])),
    }
    strangers = (login(f"{kind}.", NOBODY) for kind in ("producer", "consumer", "admin"))
    engine = RunningEngine(
        tmp_path / "engine", worker(kafka, *(own if by_worker else strangers)), connectors
    )
    with engine.running():
        out = tmp_path / "out.txt"
        wait_for(lambda: out.exists() and sorted(out.read_text().split()) == sorted(LINES))
        assert len(kafka.partitions(topic)) == 2
    said = engine.stdout.read_text() + engine.stderr.read_text()
    assert "has no effect" not in said
    for user in (WRITER, READER, MAKER):
        assert password(user) not in said
        assert json.dumps(password(user))[1:-1] not in said


@pytest.mark.parametrize("kind", ["source", "sink", "letters", "admin"])
def test_a_wrong_password_fails_the_task_at_once_and_for_good(
    tmp_path: Path, kafka: SecuredKafka, unique: Callable[[str], str], kind: str
) -> None:
    topic, name = unique("wrong"), unique("it")
    kafka.create(topic)
    wrong = {"source": "producer.", "letters": "producer.", "sink": "consumer.", "admin": "admin."}
    logins = [login("producer.", WRITER), login("consumer.", READER), login("admin.", MAKER)]
    logins.append(login(wrong[kind], WRITER, "not-the-password"))
    if kind == "letters":
        logins.append(login("admin.", WRITER, "not-the-password"))
    making = creation(partitions=1)
    queue = {
        "errors.tolerance": "all", "errors.deadletterqueue.topic.name": f"{topic}-dlq",
        "errors.deadletterqueue.topic.replication.factor": 1,
    }  # fmt: skip
    configs = {
        "source": source(tmp_path, topic),
        "admin": source(tmp_path, unique("made"), **making),
        "sink": sink(tmp_path, topic),
        "letters": sink(tmp_path, topic, **queue),
    }
    engine = RunningEngine(tmp_path / "engine", worker(kafka, *logins), {name: configs[kind]})
    with engine.running():
        trace = wait_failed(engine, name)
        assert trace.startswith("AuthenticationError: "), trace
        assert "Authentication failed: Invalid username or password" in trace
        explained = engine.ask(f"/engine/tasks/{name}/0/explain").body
        assert explained["death"]["exit_class"] == "authentication", explained
        events = engine.ask(f"/engine/events?connector={name}&tail=100").body
        told = [json.loads(line)["event"] for line in events.splitlines()]
        assert told.count("task_failed") <= 1, told
    assert "not-the-password" not in engine.stdout.read_text() + engine.stderr.read_text() + events


def test_letters_that_their_topic_may_not_take_are_kept_in_the_file(
    tmp_path: Path, kafka: SecuredKafka, unique: Callable[[str], str]
) -> None:
    """The topic is there, and nobody has let the producer write to it or look at it."""
    topic = unique("orders")
    kafka.create(topic)
    kafka.create(f"{topic}-dlq")
    logins = {
        **login("producer.override.", NOBODY), **login("consumer.override.", READER),
        **login("admin.override.", MAKER),
    }  # fmt: skip
    letters = Letters(
        tmp_path, kafka.address, topic, errors__deadletterqueue__topic__name=f"{topic}-dlq",
        errors__deadletterqueue__topic__replication__factor=1, **logins,
    )  # fmt: skip
    producer = Producer(kafka.client())
    for value in (b'{"n": 1}', b"{bad", b'{"n": 2}'):
        producer.produce(topic, value)
    assert producer.flush(30) == 0
    with letters.engine.running():
        assert letters.wait_written(2) == ["{n=1}", "{n=2}"]
        kept = wait_for(lambda: letters.told("ls", "--queue", "file")["letters"])
        assert [(each["offset"], each["stage"]) for each in kept] == [(1, "VALUE_CONVERTER")]
        assert letters.engine.task(letters.name)["state"] == "RUNNING"
        refused = letters.ctl("ls")
        assert refused.returncode != 0
        assert f"topic {topic}-dlq" in refused.stderr
        assert "uthorization failed" in refused.stderr
        assert "--queue file shows the letters" in refused.stderr
        said = letters.engine.stdout.read_text()
        assert f"topic {topic}-dlq refused a dead letter" in said
