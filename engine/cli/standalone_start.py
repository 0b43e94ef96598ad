"""What ``engine standalone`` does once its zygote and its herder are on their way."""

import argparse
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from engine.api.errors import ConfigError
from engine.cli.worker import BadStartError, Worker, read_worker
from engine.model.properties import ConfigFileError
from engine.model.service import Service
from engine.model.worker_config import WorkerConfig, worker_warnings
from engine.storage.config_file import connector_files, read_connector_file, read_worker_file
from engine.supervisor.child import HANDOVER
from engine.supervisor.instance import (
    EXIT_ALREADY_RUNNING,
    AlreadyRunningError,
    DataDirError,
    make_data_dir,
)
from engine.supervisor.launch import BOOT, HeadStart
from engine.supervisor.settings import OutputLimits, Retention, Settings
from engine.supervisor.start import PortTakenError, run
from engine.wire.blank_memory import blank
from engine.wire.herder_message import ConnectorFile, HerderBoot
from engine.wire.sealed import fill

EXIT_BAD_CONFIG: Final = 2

_BROKER: Final = "bootstrap.servers"


def start(
    arguments: argparse.Namespace, herder: Sequence[str], head_start: HeadStart | None
) -> int:
    """Read, check, supervise, stop; the exit code.

    Args:
        arguments: those of the command.
        herder: how a herder is executed: arguments after the interpreter.
        head_start: the first herder and zygote, where they are on their way.

    What cannot take over from a running engine gives everything back to that one's version.
    """
    takes_over = os.environ.get(HANDOVER, "").startswith("take ")
    try:
        code = _run(arguments, herder, head_start)
    except Exception as error:
        if takes_over:
            _go_back(f"{type(error).__name__}: {error}")
        raise
    if code and takes_over:
        _go_back(f"exit code {code}; its last words are above")
    return code


def _go_back(problem: str) -> None:
    """Unless the handover was taken, which makes us the engine that runs."""
    from engine.supervisor.handover import go_back, is_pending  # noqa: PLC0415 (rarely needed)

    if is_pending():
        go_back(problem)


def _run(arguments: argparse.Namespace, herder: Sequence[str], head_start: HeadStart | None) -> int:
    try:
        return _start(arguments, herder, head_start)
    except AlreadyRunningError as error:
        return _say(error, EXIT_ALREADY_RUNNING)
    except (BadStartError, ConfigFileError, DataDirError, PortTakenError) as error:
        return _say(error, EXIT_BAD_CONFIG)
    except ConfigError as error:
        for warning in worker_warnings(read_worker_file(arguments.worker)):
            _say(f"warning: {warning}", 0)
        for problem in error.problems.values():
            _say(f"{arguments.worker}: {problem}", EXIT_BAD_CONFIG)
        return EXIT_BAD_CONFIG


def _say(text: object, code: int) -> int:
    print(f"engine: {text}", file=sys.stderr)
    return code


def _start(
    arguments: argparse.Namespace, herder: Sequence[str], head_start: HeadStart | None
) -> int:
    worker = read_worker(arguments.worker)
    connectors = [_connector(path) for path in connector_files(arguments.connector)]
    _refuse_doubles(connectors)
    for warning in _warnings(worker, is_embedded=arguments.embedded):
        _say(f"warning: {warning}", 0)
    services: list[Service] = []
    own_keys: dict[str, str] = {}
    cluster_id = None
    if arguments.embedded:
        service, cluster_id = _handed_kafka(worker) or _embedded_kafka(worker)
        services.append(service)
        own_keys[_BROKER] = f"{service.ready_host}:{service.ready_port}"
    config = worker.config
    boot = HerderBoot(
        worker={**worker.keys, **own_keys},
        connectors=connectors,
        data_dir=str(worker.data_dir),
        log_level=config.log_level.lower(),
        worker_id=_worker_id(config, worker.host, worker.port),
        kafka_cluster_id=cluster_id,
        worker_path=str(worker.path),
        connector_paths=tuple(str(path.absolute()) for path in arguments.connector),
        fixed_keys=tuple(own_keys),
    )
    boot_fd = head_start.boot_fd if head_start else blank(BOOT)
    fill(boot_fd, boot)
    settings = Settings(
        data_dir=worker.data_dir,
        host=worker.host,
        port=worker.port,
        boot_fd=boot_fd,
        herder_argv=herder,
        preload=config.zygote_preload,
        spares=config.zygote_spares,
        cgroups=config.cgroups,
        restart_rate=config.restart_rate,
        restart_burst=config.restart_burst,
        log_format=config.log_format,
        log_level=config.log_level,
        output=OutputLimits(
            config.log_bytes_per_second,
            is_blocking=config.log_overflow == "block",
            retention=_retention(config.log_retention_bytes, config.log_retention),
        ),
        journal=_retention(config.journal_retention_bytes, config.journal_retention),
    )
    return run(settings, services, head_start)


def _connector(path: Path) -> ConnectorFile:
    read = read_connector_file(path)
    return ConnectorFile(read.name, dict(read.config), read.initial_state)


def _retention(most_bytes: int, longest: float) -> Retention:
    return Retention(most_bytes, None if longest < 0 else longest)


def _refuse_doubles(connectors: Sequence[ConnectorFile]) -> None:
    names = [c.name for c in connectors]
    for name in names:
        if names.count(name) > 1:
            raise BadStartError(f"connector {name} is given twice on the command line")


def _warnings(worker: Worker, *, is_embedded: bool) -> Iterator[str]:
    """Keys that nobody knows, and what was asked for and is not done."""
    yield from worker_warnings(worker.keys)
    if is_embedded and _BROKER in worker.keys:
        yield "bootstrap.servers is not used: --embedded brings an Apache Kafka along"
    for other in worker.config.listeners:
        if other != worker.listener:
            yield f"listener {other} is not served, only {worker.listener} is"
    offsets = worker.config.offset_storage_file
    if offsets and Path(offsets).is_file():
        yield f"{offsets} is not read: offsets are kept in the data directory"


def _worker_id(config: WorkerConfig, host: str, port: int) -> str:
    known = config.rest_advertised_host_name or host or socket.gethostname()
    return f"{known}:{config.rest_advertised_port or port}"


def _handed_kafka(worker: Worker) -> tuple[Service, str | None] | None:
    """The broker that runs already, where we go on from another engine."""
    if HANDOVER not in os.environ:
        return None
    from engine.kafka.embedded.broker import read_node  # noqa: PLC0415 (not without --embedded)
    from engine.supervisor.handover import received  # noqa: PLC0415 (rarely needed)

    handed, _ = received()
    node = read_node(worker.data_dir / "kafka")
    found = [each.service() for each in handed.services]
    return (found[0], node.cluster_id if node else None) if found else None


def _embedded_kafka(worker: Worker) -> tuple[Service, str | None]:
    """How to start it, and the id of its cluster."""
    from engine.cli.kafka import cache_dir, show_progress  # noqa: PLC0415 (not without --embedded)
    from engine.kafka.embedded.artifacts import EmbeddedKafkaError  # noqa: PLC0415
    from engine.kafka.embedded.broker import EmbeddedKafka, read_node  # noqa: PLC0415

    make_data_dir(worker.data_dir)  # the broker writes into it before anybody else does
    data_dir = worker.data_dir / "kafka"
    try:
        with show_progress() as on_progress:
            service = EmbeddedKafka(data_dir, cache_dir(os.environ)).prepare(on_progress)
        node = read_node(data_dir)
    except EmbeddedKafkaError as error:
        raise BadStartError(str(error)) from error
    return service, node.cluster_id if node else None
