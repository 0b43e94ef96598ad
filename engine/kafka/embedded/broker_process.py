"""A broker as a child process of ours: for tests, tools and ``engine kafka``.

An engine's supervisor runs its broker as :class:`engine.supervisor.service_process.ServiceProcess`.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from engine.kafka.embedded.artifacts import EmbeddedKafkaError, OnProgress, ignore_progress
from engine.kafka.embedded.broker import EmbeddedKafka
from engine.kafka.embedded.port import answers_kafka
from engine.model.service import Service
from engine.wire.prctl import dying_with_parent


class BrokerProcess:
    """One broker, started and stopped by us. Used by one thread."""

    def __init__(self, service: Service, output: Path) -> None:
        """Nothing happens yet.

        Args:
            service: what to run.
            output: file that gets what the process prints; emptied at every start.
        """
        self.service = service
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """``host:port``, what clients call ``bootstrap.servers``."""
        return f"{self.service.ready_host}:{self.service.ready_port}"

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        return self._started().pid

    @property
    def is_running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, in a process group of its own; it ends when we do."""
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                dying_with_parent(self.service.argv),
                cwd=self.service.cwd,
                env=dict(self.service.env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Wait until it serves requests.

        Raises:
            EmbeddedKafkaError: it ended before, or was not ready in time.
        """
        deadline = time.monotonic() + timeout
        while not answers_kafka(self.service.ready_host, self.service.ready_port):
            if self.wait_end(0.02):
                status = self._started().returncode
                raise EmbeddedKafkaError(f"{self.service.name} ended ({status}): {self._words()}")
            if time.monotonic() > deadline:
                raise EmbeddedKafkaError(
                    f"{self.service.name} was not ready within {timeout:.0f} s: {self._words()}"
                )

    def wait_end(self, timeout: float) -> bool:
        """Whether the process ended within so many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._started().wait(timeout)
        return not self.is_running

    def stop(self, timeout: float = 20.0) -> None:
        """End it in good order, by force when it takes too long; nothing is left of its group."""
        if self.is_running:
            self._started().terminate()
            self.wait_end(timeout)
        self.kill()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def restart(self, timeout: float = 60.0) -> None:
        """Stop it if it runs, start it, wait until it is ready; data and address stay."""
        self.stop()
        self.start()
        self.wait_ready(timeout)

    def _started(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "not started"
        return self._process

    def _words(self) -> str:
        lines = self._output.read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else f"it printed nothing; see {self.service.cwd / 'logs'}"


@contextlib.contextmanager
def run_broker(
    data_dir: Path,
    cache_dir: Path,
    port: int | None = None,
    on_progress: OnProgress = ignore_progress,
    properties: Mapping[str, str] | None = None,
) -> Iterator[BrokerProcess]:
    """A broker that is ready, and stopped in the end; ``properties`` win over ours.

    Raises:
        EmbeddedKafkaError: it cannot be brought or started.
    """
    kafka = EmbeddedKafka(data_dir, cache_dir, port, properties=properties)
    service = kafka.prepare(on_progress)
    broker = BrokerProcess(service, data_dir / "logs" / "output.log")
    try:
        broker.start()
        broker.wait_ready()
        yield broker
    finally:
        broker.stop()
