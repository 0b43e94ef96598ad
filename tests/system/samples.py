"""Kafka Connect's own samples, unmodified, through the script of its name.

They name port 9092, the REST API's default port and a path below ``/tmp``. So these tests need a
network and mounts of their own, in which ``test_samples.py`` runs this file.
"""

import contextlib
import os
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from engine.kafka.embedded.broker_process import run_broker
from tests.system.running_engine import wait_for

ROOT = Path(__file__).parents[2]
ETC = ROOT / "etc"


@pytest.fixture(scope="module", autouse=True)
def kafka_on_its_port(
    tmp_path_factory: pytest.TempPathFactory, kafka_cache_dir: Path
) -> Iterator[None]:
    with run_broker(tmp_path_factory.mktemp("kafka"), kafka_cache_dir, 9092):
        yield


class Connect:
    """``connect-standalone.sh`` with some of the samples, in a directory of its own."""

    def __init__(self, directory: Path, samples: Sequence[str]) -> None:
        files = [ETC / f"connect-{name}.properties" for name in ("standalone", *samples)]
        directory.mkdir(exist_ok=True)
        self._stderr = (directory / "stderr").open("ab")
        self.process = subprocess.Popen(
            [ROOT / "scripts" / "connect-standalone.sh", *files], cwd=directory,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, process_group=0,
        )  # fmt: skip
        self._chunks: list[bytes] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        while chunk := os.read(self.process.stdout.fileno(), 1 << 16):
            self._chunks.append(chunk)

    def type(self, *lines: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{line}\n" for line in lines).encode())
        self.process.stdin.flush()

    @property
    def output(self) -> list[str]:
        return b"".join(self._chunks).decode().split("\n")[:-1]

    @contextlib.contextmanager
    def running(self) -> Iterator["Connect"]:
        """Wait until it serves requests, and end it in good order."""
        try:
            wait_for(self._answers)
            yield self
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(30) == 0
        finally:
            self.process.kill()  # whose children end with it
            self.process.wait()
            self._thread.join()
            for stream in (self.process.stdin, self.process.stdout, self._stderr):
                if stream is not None:
                    stream.close()

    def _answers(self) -> bool:
        assert self.process.poll() is None, "\n".join(self.output)
        with urllib.request.urlopen("http://localhost:8083/", timeout=10) as answer:
            return bool(answer.status == 200)


def numbered(name: str, first: int, last: int) -> list[str]:
    return [f"{name} {number} äöü" for number in range(first, last)]


def of(name: str, lines: Sequence[str]) -> list[str]:
    """The lines of one test: the samples have one topic for all."""
    return [line for line in lines if line.startswith(f"{name} ")]


def test_lines_of_a_file_go_through_kafka_into_another_and_on_after_a_restart(
    tmp_path: Path,
) -> None:
    source, sink = tmp_path / "test.txt", tmp_path / "test.sink.txt"

    def written() -> list[str]:
        return of("file", sink.read_text().splitlines()) if sink.exists() else []

    for first, last in ((0, 1000), (1000, 1500)):
        with source.open("a") as file:
            file.writelines(f"{line}\n" for line in numbered("file", first, last))
        with Connect(tmp_path, ["file-source", "file-sink"]).running():
            wait_for(lambda last=last: len(written()) >= last)  # type: ignore[misc]
    assert written() == numbered("file", 0, 1500)


def test_typed_lines_go_through_kafka_onto_standard_output(tmp_path: Path) -> None:
    with Connect(tmp_path, ["console-source", "console-sink"]).running() as connect:
        connect.type(*numbered("typed", 0, 500))
        wait_for(lambda: len(of("typed", connect.output)) >= 500)
    assert of("typed", connect.output) == numbered("typed", 0, 500)
