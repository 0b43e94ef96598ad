"""``engine standalone WORKER CONNECTOR…``: read the files, check them, become the supervisor.

Exit codes are Kafka Connect's: 1 wrong usage, 2 bad configuration or a port that is taken, 3 a
connector of the command line cannot be created; besides, 100 another engine uses the data
directory.
"""

import argparse
import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from engine.api.config import parse
from engine.api.errors import ConfigError
from engine.model.config_file import (
    ConnectorConfigFile,
    parse_connector_file,
    parse_worker_file,
)
from engine.model.properties import ConfigFileError
from engine.model.service import Service
from engine.model.worker_config import WorkerConfig, worker_warnings
from engine.supervisor.instance import EXIT_ALREADY_RUNNING, AlreadyRunningError, DataDirError
from engine.supervisor.settings import Settings
from engine.supervisor.start import PortTakenError, run
from engine.wire.message import ConnectorFile, HerderBoot
from engine.wire.sealed import seal

EXIT_BAD_CONFIG: Final = 2

_HERDER: Final = ("-P", "-m", "engine.cli.herder_process", "{socket}", "{boot}")


class BadStartError(Exception):
    """The engine cannot be started so; the text says why."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "standalone",
        help="run a worker with its connectors on this machine",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--embedded", action="store_true", help="bring an Apache Kafka along (engine[embedded])"
    )
    parser.add_argument("worker", type=Path, help="worker file: .properties or .toml")
    parser.add_argument(
        "connector", type=Path, nargs="*", help="connector files: .properties, .json or .toml"
    )
    parser.set_defaults(run=run_standalone)


def run_standalone(arguments: argparse.Namespace) -> int:
    """Start, supervise, stop; the exit code."""
    try:
        worker = parse_worker_file(_read(arguments.worker), str(arguments.worker))
        connectors = [parse_connector_file(_read(p), str(p)) for p in arguments.connector]
        _refuse_doubles(connectors)
        return _start(worker, connectors, is_embedded=arguments.embedded)
    except AlreadyRunningError as error:
        return _say(error, EXIT_ALREADY_RUNNING)
    except (BadStartError, ConfigFileError, DataDirError, PortTakenError) as error:
        return _say(error, EXIT_BAD_CONFIG)
    except ConfigError as error:
        for problem in error.problems.values():
            _say(f"{arguments.worker}: {problem}", EXIT_BAD_CONFIG)
        return EXIT_BAD_CONFIG


def _say(text: object, code: int) -> int:
    print(f"engine: {text}", file=sys.stderr)
    return code


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadStartError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadStartError(f"{path}: not UTF-8 at byte {error.start}") from error


def _refuse_doubles(connectors: Sequence[ConnectorConfigFile]) -> None:
    names = [c.name for c in connectors]
    for name in names:
        if names.count(name) > 1:
            raise BadStartError(f"connector {name} is given twice on the command line")


def _start(
    worker: dict[str, str], connectors: Sequence[ConnectorConfigFile], *, is_embedded: bool
) -> int:
    config = parse(WorkerConfig, worker)
    listener, host, port = _listener(config)
    data_dir = _data_dir(config, os.environ).absolute()
    own = _warnings(config, worker, listener, is_embedded=is_embedded)
    for warning in (*worker_warnings(worker), *own):
        _say(f"warning: {warning}", 0)
    services: list[Service] = []
    cluster_id = None
    if is_embedded:
        service, cluster_id = _embedded_kafka(data_dir / "kafka")
        services.append(service)
        worker["bootstrap.servers"] = f"{service.ready_host}:{service.ready_port}"
    boot = HerderBoot(
        worker=worker,
        connectors=[ConnectorFile(c.name, dict(c.config), c.initial_state) for c in connectors],
        data_dir=str(data_dir),
        log_level=config.log_level.lower(),
        worker_id=_worker_id(config, host, port),
        kafka_cluster_id=cluster_id,
    )
    settings = Settings(
        data_dir=data_dir,
        host=host,
        port=port,
        boot_fd=seal(boot, "herder boot"),
        herder_argv=_HERDER,
        preload=config.zygote_preload,
        log_format=config.log_format,
        log_level=config.log_level,
    )
    return run(settings, services)


def _data_dir(config: WorkerConfig, environ: Mapping[str, str]) -> Path:
    """Where state is kept: as configured, beside Kafka Connect's offsets file, or systemd's."""
    if config.data_dir:
        return Path(config.data_dir)
    if config.offset_storage_file:
        return Path(f"{config.offset_storage_file}.d")
    if "STATE_DIRECTORY" in environ:
        return Path(environ["STATE_DIRECTORY"])
    return Path(environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "engine"


def _warnings(
    config: WorkerConfig, worker: Mapping[str, str], listener: str, *, is_embedded: bool
) -> Iterator[str]:
    """What was asked for and is not done."""
    if is_embedded and "bootstrap.servers" in worker:
        yield "bootstrap.servers is not used: --embedded brings an Apache Kafka along"
    for other in config.listeners:
        if other != listener:
            yield f"listener {other} is not served, only {listener} is"
    offsets = config.offset_storage_file
    if offsets and Path(offsets).is_file():
        yield f"{offsets} is not read: offsets are kept in the data directory"


def _listener(config: WorkerConfig) -> tuple[str, str, int]:
    """The first HTTP listener, its host and its port."""
    for listener in config.listeners:
        parts = urlsplit(listener)
        if parts.scheme.lower() != "http":
            continue
        try:
            port = parts.port
        except ValueError:
            port = None
        if port is None:
            break
        return listener, parts.hostname or "", port
    shown = ",".join(config.listeners)
    raise BadStartError(
        f"Invalid value {shown} for configuration listeners: expected http://HOST:PORT"
    )


def _worker_id(config: WorkerConfig, host: str, port: int) -> str:
    known = config.rest_advertised_host_name or host or socket.gethostname()
    return f"{known}:{config.rest_advertised_port or port}"


def _embedded_kafka(data_dir: Path) -> tuple[Service, str | None]:
    """How to start it, and the id of its cluster."""
    from engine.cli.kafka import cache_dir, show_progress  # noqa: PLC0415 (not without --embedded)
    from engine.kafka.embedded.artifacts import EmbeddedKafkaError  # noqa: PLC0415
    from engine.kafka.embedded.broker import EmbeddedKafka, read_node  # noqa: PLC0415

    try:
        with show_progress() as on_progress:
            service = EmbeddedKafka(data_dir, cache_dir(os.environ)).prepare(on_progress)
        node = read_node(data_dir)
    except EmbeddedKafkaError as error:
        raise BadStartError(str(error)) from error
    return service, node.cluster_id if node else None
