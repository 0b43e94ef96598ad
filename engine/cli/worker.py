"""A worker's file, read and checked: what every command that is given one begins with."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from engine.api.config import parse
from engine.api.errors import ConfigError
from engine.model.worker_config import WorkerConfig
from engine.storage.config_file import read_worker_file


class BadStartError(Exception):
    """The engine cannot be started so; the text says why."""


class Worker(msgspec.Struct, frozen=True):
    """What the file says, and what follows from it.

    Attributes:
        path: of the file, absolute.
        keys: as they were written.
        config: the same, typed.
        data_dir: where state is kept, absolute.
        listener: the one that is served, of ``listeners``.
        host: its address; empty for all of them.
        port: its port.
    """

    path: Path
    keys: dict[str, str]
    config: WorkerConfig
    data_dir: Path
    listener: str
    host: str
    port: int


def read_worker(path: Path) -> Worker:
    """The worker that a file describes.

    Raises:
        ConfigFileError: the file cannot be read or understood.
        ConfigError: it holds values that cannot be.
        BadStartError: no listener of it can be served, or there is no place for its state.
    """
    keys = read_worker_file(path)
    config = _parsed(keys)
    listener, host, port = _listener(config)
    data_dir = _data_dir(config, os.environ).absolute()
    return Worker(path.absolute(), keys, config, data_dir, listener, host, port)


def _parsed(keys: Mapping[str, str]) -> WorkerConfig:
    """The typed configuration, unless anything is wrong with it or with the keys of clients."""
    problems: dict[str, str] = {}
    if any(key.startswith(("producer.", "consumer.")) for key in keys):
        from engine.kafka.client_config import worker_client_problems  # noqa: PLC0415 (few have any)

        problems = worker_client_problems(keys)
    try:
        config = parse(WorkerConfig, keys)
    except ConfigError as error:
        raise ConfigError({**error.problems, **problems}) from error
    if problems:
        raise ConfigError(problems)
    return config


def _data_dir(config: WorkerConfig, environ: Mapping[str, str]) -> Path:
    """As configured, beside Kafka Connect's offsets file, systemd's, or the user's."""
    if config.data_dir:
        return Path(config.data_dir)
    if config.offset_storage_file:
        return Path(f"{config.offset_storage_file}.d")
    if environ.get("STATE_DIRECTORY"):
        return Path(environ["STATE_DIRECTORY"].partition(":")[0])
    if environ.get("XDG_STATE_HOME"):
        return Path(environ["XDG_STATE_HOME"]) / "engine"
    try:
        return Path.home() / ".local" / "state" / "engine"
    except RuntimeError as error:  # a user without a name, as containers have them
        raise BadStartError(
            "this user has no home directory to keep state in: set engine.data.dir"
        ) from error


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
