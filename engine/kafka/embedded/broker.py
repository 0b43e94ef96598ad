"""One Apache Kafka node, broker and controller in one: its data directory and how to start it.

Nothing here runs the broker: :meth:`EmbeddedKafka.prepare` returns a value that a supervisor runs.

The data directory holds ``node.json`` (cluster id and ports, kept for ever), the generated
``server.properties`` and ``log4j2.properties``, ``data/`` (Kafka's own) and ``logs/``.
"""

import base64
import hashlib
import json
import os
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from engine.kafka.embedded.artifacts import (
    EmbeddedKafkaError,
    OnProgress,
    bring_jars,
    find_java,
    ignore_progress,
)  # fmt: skip
from engine.kafka.embedded.jar_lock import digest_of, read_jar_lock
from engine.kafka.embedded.port import HOST, choose_port, holder_of, is_port_free
from engine.model.service import Service

KAFKA_VERSION: Final = "4.3.1"
JAR_LOCK: Final = Path(__file__).with_name(f"kafka-{KAFKA_VERSION}.lock")

_FORMAT_TIMEOUT: Final = 60.0
_PREDECESSOR_ENDS: Final = 10.0
_JVM_FLAGS: Final = (
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Xlog:aot*=off",  # an archive that does not fit is no news: the start is slower, that is all
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
    "-Djava.awt.headless=true",
)

_SERVER_PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
num.partitions=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
# after a crash the node has to wait until its own former session has run out (9 s by default)
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# the default (128 MiB) is allocated at once and makes up a third of the process
log.cleaner.dedupe.buffer.size=4194304
"""

_LOG4J2_PROPERTIES: Final = """\
status=warn
appender.file.type=RollingFile
appender.file.name=file
appender.file.fileName={logs}/kafka.log
appender.file.filePattern={logs}/kafka.log.%i
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d{{yyyy-MM-dd HH:mm:ss.SSS}} %-5p %m (%c)%n
appender.file.policies.type=Policies
appender.file.policies.size.type=SizeBasedTriggeringPolicy
appender.file.policies.size.size=10MB
appender.file.strategy.type=DefaultRolloverStrategy
appender.file.strategy.max=3
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{{yyyy-MM-dd HH:mm:ss.SSS}} %-5p %m (%c)%n
appender.console.filter.threshold.type=ThresholdFilter
appender.console.filter.threshold.level=error
rootLogger.level=info
rootLogger.appenderRef.file.ref=file
rootLogger.appenderRef.console.ref=console
# 300 lines of configuration at every start, which server.properties says shorter
logger.values.name=org.apache.kafka.common.config.AbstractConfig
logger.values.level=warn
"""


@dataclass(frozen=True, slots=True)
class Node:
    """What a data directory keeps for ever."""

    cluster_id: str
    port: int
    controller_port: int


def read_node(data_dir: Path) -> Node | None:
    """The node of a data directory, None when there is none yet.

    Raises:
        EmbeddedKafkaError: the file cannot be understood.
    """
    path = data_dir / "node.json"
    try:
        return Node(**json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise EmbeddedKafkaError(f"{path} is broken: {error}") from error


class EmbeddedKafka:
    """A single-node Apache Kafka in a data directory of its own."""

    def __init__(
        self,
        data_dir: Path,
        cache_dir: Path,
        port: int | None = None,
        heap: str = "512m",
        properties: Mapping[str, str] | None = None,
    ) -> None:
        """Nothing happens yet.

        Args:
            data_dir: everything that this node keeps; made when missing.
            cache_dir: jars, shared by all nodes of this user.
            port: where clients connect; None for the port of the last start, at first a free one.
            heap: largest heap of the Java process.
            properties: further ones of ``server.properties``, which win over ours.
        """
        self._data_dir = data_dir.absolute()
        self._cache_dir = cache_dir.absolute()
        self._port = port
        self._heap = heap
        self._properties = dict(properties or {})

    def prepare(self, on_progress: OnProgress = ignore_progress) -> Service:
        """Bring the jars, choose ports, write configuration, format the storage at first.

        Raises:
            EmbeddedKafkaError: it cannot be started; the message says why in one line.
        """
        class_path = bring_jars(read_jar_lock(JAR_LOCK), self._cache_dir, on_progress)
        try:
            (self._data_dir / "logs").mkdir(parents=True, exist_ok=True)
            node = self._claim_node()
            self._write_configuration(node)
        except OSError as error:
            raise EmbeddedKafkaError(
                f"the data directory {self._data_dir} cannot be used: {error.strerror or error}"
            ) from error
        if not (self._data_dir / "data" / "meta.properties").exists():
            on_progress("formatting the storage", 0, 0)
            self._format(node, class_path)
        return Service(
            name="kafka",
            argv=(
                *self._java(class_path),
                *self._archive_flags(class_path),
                "kafka.Kafka",
                "server.properties",
            ),
            env={"LANG": "C.UTF-8"},
            cwd=self._data_dir,
            ready_host=HOST,
            ready_port=node.port,
            log_name="kafka",
        )

    @property
    def archive(self) -> Path:
        """Where the classes of an earlier run are kept, loaded and linked: halves the start.

        Named after everything that Java checks, so that another runtime makes its own.
        """
        runtime = find_java().parent.parent / "lib" / "modules"
        stat = runtime.stat()
        known = (digest_of(read_jar_lock(JAR_LOCK)), self._heap, *_JVM_FLAGS)
        key = repr((runtime, stat.st_size, stat.st_mtime_ns, self._cache_dir, known))
        return self._cache_dir / f"kafka-{hashlib.sha256(key.encode()).hexdigest()[:16]}.aot"

    def _claim_node(self) -> Node:
        known = read_node(self._data_dir)
        port = self._port or (known.port if known else choose_port())
        if known and port == known.port:
            _wait_for_predecessor(port)
        _require_free(port)
        controller_port = known.controller_port if known else 0
        if controller_port in (0, port) or not is_port_free(controller_port):
            controller_port = choose_port()
        node = Node(known.cluster_id if known else _new_cluster_id(), port, controller_port)
        if node != known:
            _write(self._data_dir / "node.json", json.dumps(asdict(node)) + "\n")
        return node

    def _write_configuration(self, node: Node) -> None:
        data = self._data_dir / "data"
        properties = _SERVER_PROPERTIES.format(
            host=HOST, port=node.port, controller_port=node.controller_port, data=_escaped(data)
        )
        properties += "".join(f"{name}={_escaped(v)}\n" for name, v in self._properties.items())
        _write(self._data_dir / "server.properties", properties)
        logging = _LOG4J2_PROPERTIES.format(logs=_escaped(self._data_dir / "logs"))
        _write(self._data_dir / "log4j2.properties", logging)

    def _java(self, class_path: list[Path]) -> tuple[str, ...]:
        return (
            str(find_java()),
            *_JVM_FLAGS,
            f"-Xmx{self._heap}",
            "-cp",
            ":".join(map(str, class_path)),
            "-Dlog4j2.configurationFile=log4j2.properties",
        )

    def _archive_flags(self, _class_path: list[Path]) -> tuple[str, ...]:
        archive = self.archive
        return (f"-XX:AOTCache={archive}",) if archive.exists() else ()

    def _format(self, node: Node, class_path: list[Path]) -> None:
        command = (
            *self._java(class_path), "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format",
            "--ignore-formatted", "-t", node.cluster_id, "-c", "server.properties",
        )  # fmt: skip
        try:
            done = subprocess.run(
                command, cwd=self._data_dir, env={"LANG": "C.UTF-8"}, timeout=_FORMAT_TIMEOUT,
                capture_output=True, text=True, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EmbeddedKafkaError(f"the storage cannot be formatted: {error}") from error
        if done.returncode != 0:
            words = (done.stderr or done.stdout).strip().splitlines() or ["no output"]
            raise EmbeddedKafkaError(f"the storage cannot be formatted: {words[-1]}")


def _wait_for_predecessor(port: int) -> None:
    """A broker whose supervisor was killed may still be on its way out."""
    deadline = time.monotonic() + _PREDECESSOR_ENDS
    pause = threading.Event()
    while not is_port_free(port) and time.monotonic() < deadline:
        pause.wait(0.1)


def _require_free(port: int) -> None:
    if is_port_free(port):
        return
    holder = holder_of(port)
    raise EmbeddedKafkaError(
        f"port {port} is taken{f' by {holder}' if holder else ''}; free it or give another port"
    )


def _new_cluster_id() -> str:
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")) and (
        text.startswith("-")  # would be read as an option of the storage tool
    ):
        pass
    return text


def _escaped(value: Path | str) -> str:
    return str(value).replace("\\", "\\\\")


def _write(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(text, "utf-8")
    new.replace(path)
