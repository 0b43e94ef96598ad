"""The embedded Apache Kafka as a real process: what it keeps, how it ends, how it is commanded."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer

from engine.cli.kafka import add_parser
from engine.kafka.embedded.artifacts import EmbeddedKafkaError
from engine.kafka.embedded.broker import EmbeddedKafka, read_node
from engine.kafka.embedded.broker_process import BrokerProcess

pytestmark = pytest.mark.broker


def wait_until(condition: Callable[[], bool], timeout: float = 30.0) -> None:
    deadline = time.monotonic() + timeout
    poll = subprocess.Popen(["sleep", str(timeout)])
    try:
        while not condition():
            assert time.monotonic() < deadline, "the condition was not met in time"
            try:
                poll.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
    finally:
        poll.kill()
        poll.wait()


def send(address: str, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": address, "log_level": 0})
    producer.produce(topic, value)
    assert producer.flush(30) == 0


def receive(address: str, topic: str, count: int) -> list[bytes]:
    consumer = Consumer(
        {
            "bootstrap.servers": address, "group.id": topic, "auto.offset.reset": "earliest",
            "log_level": 0,
        }
    )  # fmt: skip
    consumer.subscribe([topic])
    found: list[bytes] = []
    deadline = time.monotonic() + 30
    while len(found) < count and time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is not None and not message.error():
            found.append(message.value() or b"")
    consumer.close()
    return found


def test_what_is_acknowledged_survives_a_restart_and_a_kill(
    own_kafka: BrokerProcess, topic: str
) -> None:
    address = own_kafka.address
    send(address, topic, b"one")
    own_kafka.restart()
    send(address, topic, b"two")
    own_kafka.kill()
    assert not own_kafka.is_running
    own_kafka.restart()
    assert own_kafka.address == address
    assert receive(address, topic, 2) == [b"one", b"two"]


def test_the_storage_is_formatted_once_and_the_node_stays_itself(
    own_kafka: BrokerProcess, kafka_cache_dir: Path
) -> None:
    data_dir = own_kafka.service.cwd
    meta = (data_dir / "data" / "meta.properties").read_text()
    node = read_node(data_dir)
    assert node is not None
    assert f"cluster.id={node.cluster_id}\n" in meta
    own_kafka.stop()
    assert EmbeddedKafka(data_dir, kafka_cache_dir).prepare() == own_kafka.service
    assert (data_dir / "data" / "meta.properties").read_text() == meta
    assert read_node(data_dir) == node


def test_a_taken_port_is_said_with_its_holder(
    kafka_process: BrokerProcess, kafka_cache_dir: Path, tmp_path: Path
) -> None:
    port = kafka_process.service.ready_port
    with pytest.raises(EmbeddedKafkaError, match=rf"^port {port} is taken by pid \d+ \(java\)"):
        EmbeddedKafka(tmp_path, kafka_cache_dir, port).prepare()


def test_a_data_directory_that_is_a_file_is_said(tmp_path: Path, kafka_cache_dir: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(EmbeddedKafkaError, match="data cannot be used: "):
        EmbeddedKafka(tmp_path / "data", kafka_cache_dir).prepare()


def test_a_broker_that_ends_at_once_is_said_with_its_last_words(
    own_kafka: BrokerProcess,
) -> None:
    own_kafka.stop()
    (own_kafka.service.cwd / "server.properties").write_text("process.roles=nonsense\n")
    own_kafka.start()
    with pytest.raises(EmbeddedKafkaError, match=r"^kafka ended \(\d+\): .+"):
        own_kafka.wait_ready()


def test_the_broker_ends_with_the_process_that_started_it(
    tmp_path: Path, kafka_cache_dir: Path
) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from engine.kafka.embedded.broker_process import run_broker\n"
        "with run_broker(Path(sys.argv[1]), Path(sys.argv[2])) as broker:\n"
        "    print(broker.pid, flush=True); sys.stdin.read()\n"
    )
    argv = [sys.executable, "-c", code, str(tmp_path), str(kafka_cache_dir)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        broker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        parent.wait()
        psutil.wait_procs([broker], timeout=20)
        assert not broker.is_running()


# ---- engine kafka ----------------------------------------------------------------------------


class Command:
    """``engine kafka`` with a data directory of its own."""

    def __init__(self, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.data_dir = data_dir
        self._capsys = capsys
        self._parser = argparse.ArgumentParser(prog="engine")
        add_parser(self._parser.add_subparsers(required=True))

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        parsed = self._parser.parse_args(
            ["kafka", arguments[0], "--data-dir", str(self.data_dir), *arguments[1:]]
        )
        code = parsed.run(parsed)
        out, err = self._capsys.readouterr()
        return code, out, err

    def status(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self("status", "--json")[1])
        return found


@pytest.fixture
def command(
    tmp_path: Path,
    kafka_cache_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Command]:
    monkeypatch.setenv("ENGINE_CACHE_DIR", str(kafka_cache_dir))
    command = Command(tmp_path / "kafka", capsys)
    yield command
    command("stop")


def test_start_status_and_stop_say_what_is(command: Command) -> None:
    assert command("status")[0] == 3
    assert command("stop")[0] == 3
    code, out, _ = command("start")
    assert code == 0
    status = command.status()
    assert f"is ready at {status['address']}, data in {command.data_dir}" in out
    assert status["state"] == "running"
    assert command("status")[0] == 0
    assert command("start")[:2] == (
        0,
        f"Apache Kafka runs already at {status['address']}, pid {status['pid']}\n",
    )
    assert command("stop")[:2] == (0, "Apache Kafka has stopped\n")
    assert command("status")[0] == 3
    assert not psutil.pid_exists(int(str(status["kafka_pid"])))


def test_a_broker_that_is_killed_comes_back_at_the_same_address(
    command: Command, topic: str
) -> None:
    command("start")
    before = command.status()
    send(str(before["address"]), topic, b"kept")
    os.kill(int(str(before["kafka_pid"])), signal.SIGKILL)
    wait_until(lambda: command.status()["restarts"] == 1, 60)
    wait_until(lambda: command.status()["state"] == "running", 60)
    after = command.status()
    assert after["address"] == before["address"]
    assert after["pid"] == before["pid"]
    assert receive(str(after["address"]), topic, 1) == [b"kept"]


def test_nothing_outlives_a_daemon_that_is_killed(command: Command) -> None:
    command("start")
    status = command.status()
    broker = psutil.Process(int(str(status["kafka_pid"])))
    os.kill(int(str(status["pid"])), signal.SIGKILL)
    psutil.wait_procs([broker], timeout=20)
    assert not broker.is_running()
    assert command("status")[0] == 3


def test_start_with_a_taken_port_says_so_and_leaves_nothing(
    command: Command, kafka_process: BrokerProcess
) -> None:
    port = str(kafka_process.service.ready_port)
    code, _, err = command("start", "--port", port)
    assert code == 1
    assert err.startswith(f"engine kafka: port {port} is taken by pid ")
    assert err.count("\n") == 1
    assert command("status")[0] == 3


def test_a_foreground_broker_ends_with_sigterm(tmp_path: Path, kafka_cache_dir: Path) -> None:
    code = (
        "import argparse\nfrom engine.cli.kafka import add_parser\n"
        "p = argparse.ArgumentParser(); add_parser(p.add_subparsers()); a = p.parse_args()\n"
        "raise SystemExit(a.run(a))"
    )
    argv = [sys.executable, "-c", code, "kafka", "start", "--foreground", "--data-dir", "k"]
    environ = os.environ | {"ENGINE_CACHE_DIR": str(kafka_cache_dir)}
    with subprocess.Popen(argv, cwd=tmp_path, env=environ, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b" is ready at 127.0.0.1:" in process.stdout.readline()
        children = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        assert process.wait(30) == 0
        assert psutil.wait_procs(children, timeout=10)[1] == []
