"""What a worker can be told: Kafka Connect's keys and, under ``engine.``, ours."""

from collections.abc import Iterable, Mapping
from typing import Final

from engine.api.config import (
    HIGH,
    LOW,
    ConfigType,
    at_least,
    config,
    key,
    keys_of,
    nearest,
    one_of,
)  # fmt: skip
from engine.model.cluster_config import ClusterConfig
from engine.model.error_policy import EngineErrorConfig
from engine.model.herder_config import HerderConfig
from engine.model.ignored_key import (
    WORKER,
    WORKER_PREFIXES,
    ignored_warnings,
    ignored_worker_keys,
)
from engine.model.log_config import LogConfig
from engine.model.loop_config import LoopConfig
from engine.model.supervision_config import SupervisionConfig


@config
class WorkerConfig(
    ClusterConfig, HerderConfig, LoopConfig, SupervisionConfig, LogConfig, EngineErrorConfig
):
    """A worker's configuration.

    Only ``bootstrap.servers`` is handed on to the clients of tasks without a prefix.
    """

    key_converter: str = key(
        "key.converter",
        type=ConfigType.CLASS,
        importance=HIGH,
        doc="Converts keys of connectors that name no converter of their own.",
    )
    value_converter: str = key(
        "value.converter",
        type=ConfigType.CLASS,
        importance=HIGH,
        doc="Converts values of connectors that name no converter of their own.",
    )
    header_converter: str = key(
        "header.converter",
        type=ConfigType.CLASS,
        importance=LOW,
        default="org.apache.kafka.connect.storage.SimpleHeaderConverter",
        doc="Converts headers of connectors that name no converter of their own.",
    )
    config_providers: tuple[str, ...] = key(
        "config.providers",
        default=(),
        importance=LOW,
        doc="Names of config providers; each is described by config.providers.<name>.class.",
    )
    listeners: tuple[str, ...] = key(
        "listeners",
        default=("http://:8083",),
        importance=LOW,
        doc="Addresses of the REST API, as http://host:port.",
    )
    rest_advertised_host_name: str | None = key(
        "rest.advertised.host.name",
        default=None,
        importance=LOW,
        doc="The host name that other workers and status pages are given.",
    )
    rest_advertised_port: int | None = key(
        "rest.advertised.port",
        default=None,
        type=ConfigType.INT,
        importance=LOW,
        doc="The port that other workers and status pages are given.",
    )
    offset_storage_file: str | None = key(
        "offset.storage.file.filename",
        default=None,
        importance=HIGH,
        doc="Kafka Connect's file of source offsets; offsets are kept below engine.data.dir.",
    )
    data_dir: str | None = key(
        "engine.data.dir",
        default=None,
        importance=HIGH,
        doc="Where configurations, offsets, statuses and logs are kept.",
    )
    cgroups: str = key(
        "engine.cgroups",
        default="auto",
        importance=LOW,
        doc="Whether limits of tasks are enforced by control groups: where the tree is ours to "
        "use (auto), also where nobody says that it is (on), or never (off).",
        check=one_of("auto", "on", "off"),
    )
    restart_rate: float = key(
        "engine.restart.host.budget.per.second",
        default=50.0,
        importance=LOW,
        doc="How many tasks may be restarted a second after failures, all together; 0: no bound.",
        check=at_least(0),
    )
    restart_burst: int = key(
        "engine.restart.host.budget.burst",
        default=100,
        importance=LOW,
        doc="How many of these restarts may come at once.",
        check=at_least(1),
    )
    zygote_preload: tuple[str, ...] = key(
        "engine.zygote.preload", default=(), importance=LOW,
        doc="Further Python modules to import once, before tasks are forked.",
    )  # fmt: skip
    zygote_spares: int = key(
        "engine.zygote.spares",
        default=2,
        importance=LOW,
        doc="How many processes are kept ready for tasks that have to be restarted.",
        check=at_least(0),
    )


_PASS_THROUGH: Final = (
    "producer.", "consumer.", "admin.", "key.converter.", "value.converter.", "header.converter.",
    "config.providers.", "ssl.", "sasl.", "security.",
)  # fmt: skip
"""Beginnings of keys that belong to somebody else: clients, converters, providers, TLS."""


def worker_warnings(config: Mapping[str, str]) -> list[str]:
    """A warning for every key that nobody knows, with the nearest known one, or that is ignored."""
    known = [*(k.name for k in keys_of(WorkerConfig)), *WORKER]
    unknown = unknown_keys(config, known, (*_PASS_THROUGH, *WORKER_PREFIXES))
    return unknown + ignored_warnings(ignored_worker_keys(config))


def unknown_keys(
    config: Mapping[str, object], known: Iterable[str], prefixes: Iterable[str] = ()
) -> list[str]:
    """A warning for every key that nobody knows, with the nearest known one."""
    names, starts = list(known), tuple(prefixes)
    return [_warning(k, names) for k in config if k not in names and not k.startswith(starts)]


def _warning(name: str, known: Iterable[str]) -> str:
    likely = nearest(name, known)
    return f"unknown key {name}, did you mean {likely}?" if likely else f"unknown key {name}"
