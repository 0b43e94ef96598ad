"""Three ways to move lines: raw confluent-kafka, Java's Kafka Connect 4.3.1, and the engine.

Each is started as its users start it, by one command, in a process group of its own.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import psutil

from engine.kafka.embedded.artifacts import bring_jars, find_java
from engine.kafka.embedded.jar_lock import digest_of, read_jar_lock
from engine.kafka.embedded.port import choose_port

CONNECT_LOCK: Final = Path(__file__).with_name("connect-4.3.1.lock")
BATCH: Final = 5000
"""Records of a poll of Java's. Its file source forgets what lies behind the last full batch, so
the number of lines is a multiple of this."""

JAVA_TUNED: Final = {
    "producer.batch.size": "262144",
    "consumer.max.partition.fetch.bytes": "8388608",
    "consumer.fetch.min.bytes": "65536",
}
"""The best found for Java; hardly anybody sets it, and it more than doubles what a source does."""

_STRING: Final = "org.apache.kafka.connect.storage.StringConverter"
_STOP_TIMEOUT: Final = 15.0
# what bin/connect-standalone.sh gives the virtual machine
_JAVA_FLAGS: Final = (
    "-Xms256M", "-Xmx2G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Job:
    """What to move: ``kinds`` is ``source``, ``sink`` or both at once."""

    kinds: tuple[str, ...]
    brokers: str
    topic: str
    source_file: Path
    sink_file: Path
    scratch: Path


class Contender(Protocol):
    """One way to do a job."""

    name: str

    def start(self, job: Job) -> "subprocess.Popen[bytes]":
        """Begin; the process runs until it is stopped."""


def connector_files(job: Job) -> list[Path]:
    """The connectors of a job, in files that both engines read."""
    return [
        write_properties(job.scratch / f"{kind}.properties", _connector(job, kind))
        for kind in job.kinds
    ]


def _connector(job: Job, kind: str) -> dict[str, str]:
    config = {"name": f"{kind}-{job.topic}-{job.scratch.name}", "tasks.max": "1"}
    if kind == "source":
        return config | {
            "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
            "file": str(job.source_file), "topic": job.topic, "batch.size": str(BATCH),
        }  # fmt: skip
    return config | {
        "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
        "file": str(job.sink_file), "topics": job.topic,
    }  # fmt: skip


def worker_file(job: Job, more: Mapping[str, str]) -> Path:
    """A worker's configuration."""
    config = {
        "bootstrap.servers": job.brokers, "key.converter": _STRING, "value.converter": _STRING,
        "offset.storage.file.filename": str(job.scratch / "offsets"),
        "listeners": f"http://127.0.0.1:{choose_port()}",
    }  # fmt: skip
    return write_properties(job.scratch / "worker.properties", {**config, **more})


def write_properties(path: Path, config: Mapping[str, str]) -> Path:
    """A configuration in a file."""
    path.write_text("".join(f"{key}={value}\n" for key, value in config.items()), "utf-8")
    return path


def _start(
    argv: Sequence[str | Path], job: Job, environ: Mapping[str, str] | None = None
) -> "subprocess.Popen[bytes]":
    with (job.scratch / "output.log").open("wb") as output:
        return subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=output, stderr=output, process_group=0, env=environ
        )


class Raw:
    """confluent-kafka and nothing else."""

    name = "raw"

    def start(self, job: Job) -> "subprocess.Popen[bytes]":
        (kind,) = job.kinds
        path = job.source_file if kind == "source" else job.sink_file
        module = "tests.benchmarks.raw_client"
        return _start([sys.executable, "-m", module, kind, path, job.topic, job.brokers], job)


class Ours:
    """``engine standalone WORKER CONNECTOR…``."""

    name = "ours"

    def start(self, job: Job) -> "subprocess.Popen[bytes]":
        engine = Path(sys.executable).with_name("engine")
        worker = worker_file(job, {})
        return _start([engine, "standalone", worker, *connector_files(job)], job)


class Java:
    """Kafka Connect 4.3.1 on the runtime of the embedded broker.

    The runtime's wheel lacks the class archive that every usual installation has, so that start
    would be slower than its users know it: it is made once.
    """

    def __init__(self, name: str, cache_dir: Path, worker: Mapping[str, str]) -> None:
        """Fetches what is missing.

        Args:
            name: how figures call it.
            cache_dir: where its jars are kept.
            worker: more keys for the worker's configuration.
        """
        self.name = name
        self._worker = worker
        jars = read_jar_lock(CONNECT_LOCK)
        self._class_path = ":".join(map(str, bring_jars(jars, cache_dir)))
        self._archive = cache_dir / f"connect-{digest_of(jars)}.jsa"
        if not self._archive.exists():
            new = self._archive.with_suffix(f".{os.getpid()}")
            argv = (find_java(), "-XX:+UseG1GC", "-Xshare:dump", f"-XX:SharedArchiveFile={new}")
            subprocess.run(argv, check=True, capture_output=True, timeout=120)
            new.replace(self._archive)

    def start(self, job: Job) -> "subprocess.Popen[bytes]":
        fair = {"plugin.discovery": "service_load", "consumer.max.poll.records": str(BATCH)}
        worker = worker_file(job, {**fair, **self._worker})
        logging = write_properties(job.scratch / "log4j2.properties", {
            "appender.out.type": "Console", "appender.out.name": "out",
            "appender.out.layout.type": "PatternLayout", "rootLogger.level": "info",
            "appender.out.layout.pattern": "[%d] %p %X{connector.context}%m (%c:%L)%n",
            "rootLogger.appenderRef.out.ref": "out",
        })  # fmt: skip
        argv: list[str | Path] = [
            find_java(), *_JAVA_FLAGS, f"-XX:SharedArchiveFile={self._archive}",
            f"-Dlog4j2.configurationFile={logging}", "-cp", self._class_path,
            "org.apache.kafka.connect.cli.ConnectStandalone", worker, *connector_files(job),
        ]  # fmt: skip
        return _start(argv, job)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a contender with everything it started."""
    try:
        top = psutil.Process(process.pid)
        tree = [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        tree = []
    timer = threading.Timer(_STOP_TIMEOUT, process.kill)
    timer.start()
    process.terminate()
    process.communicate()
    timer.cancel()
    for each in psutil.wait_procs(tree, timeout=1)[1]:
        each.kill()
    psutil.wait_procs(tree, timeout=10)


def last_words(job: Job) -> str:
    """The end of what a contender has printed."""
    return (job.scratch / "output.log").read_text("utf-8", "replace")[-2000:]
