"""Keys of Kafka Connect that are understood and have no effect here, each with the reason.

Whoever sets one is told so. A key that gains an effect leaves its table in the same change.
"""

from collections.abc import Iterator, Mapping
from typing import Final

_STANDS_ALONE: Final = "this worker stands alone, there is no cluster of workers"
_CLIENTS: Final = "clients are told by keys that begin with producer., consumer. or admin."
_METRICS: Final = "metrics are at /metrics, for Prometheus to fetch"
_OWN_DATA: Final = "the engine has one form for its own data"
_NO_HTTPS: Final = "HTTPS is not served"
_NO_ORIGINS: Final = "browsers of other origins are not served"
_NOT_TRACKED: Final = "topics of connectors are not tracked"
_INSTALLED: Final = "plugins are installed Python distributions"
_ONE_VERSION: Final = "the version that is installed is used"
_AT_LEAST_ONCE: Final = "delivery is at least once"

WORKER: Final[Mapping[str, str]] = {
    "access.control.allow.methods": _NO_ORIGINS,
    "access.control.allow.origin": _NO_ORIGINS,
    "admin.listeners": "there are no admin paths",
    "exactly.once.source.support": _AT_LEAST_ONCE,
    "metric.reporters": _METRICS,
    "plugin.discovery": _INSTALLED,
    "plugin.path": _INSTALLED,
    "response.http.headers.config": "answers get no further headers",
    "rest.advertised.listener": _NO_HTTPS,
    "topic.tracking.allow.reset": _NOT_TRACKED,
    "topic.tracking.enable": _NOT_TRACKED,
    **dict.fromkeys((
        "connect.protocol", "group.id", "heartbeat.interval.ms", "rebalance.timeout.ms",
        "scheduled.rebalance.max.delay.ms", "session.timeout.ms", "worker.sync.timeout.ms",
        "worker.unsync.backoff.ms",
    ), _STANDS_ALONE),
    **dict.fromkeys((
        "client.dns.lookup", "client.id", "connections.max.idle.ms", "metadata.max.age.ms",
        "metadata.recovery.strategy", "receive.buffer.bytes", "reconnect.backoff.max.ms",
        "reconnect.backoff.ms", "request.timeout.ms", "retry.backoff.max.ms", "retry.backoff.ms",
        "send.buffer.bytes", "socket.connection.setup.timeout.max.ms",
        "socket.connection.setup.timeout.ms",
    ), _CLIENTS),
}  # fmt: skip
"""A worker's keys."""

WORKER_PREFIXES: Final[Mapping[str, str]] = {
    "admin.listeners.https.": _NO_HTTPS,
    "config.storage.": _STANDS_ALONE,
    "inter.worker.": _STANDS_ALONE,
    "internal.key.converter": _OWN_DATA,
    "internal.value.converter": _OWN_DATA,
    "listeners.https.": _NO_HTTPS,
    "metrics.": _METRICS,
    "offset.storage.": _STANDS_ALONE,
    "rest.extension.": "REST extensions are not served",
    "status.storage.": _STANDS_ALONE,
}
"""Beginnings of a worker's keys."""

_CONNECTOR: Final[Mapping[str, str]] = {
    "config.action.reload": "values of config providers are read when a task starts",
    "exactly.once.support": _AT_LEAST_ONCE,
    "offsets.storage.topic": "offsets are stored by the worker, not in a topic",
    "task.shutdown.graceful.timeout.ms": "it is the worker's alone",
    "transaction.boundary": _AT_LEAST_ONCE,
    "transaction.boundary.interval.ms": _AT_LEAST_ONCE,
}
_CONNECTOR_PREFIXES: Final[Mapping[str, Mapping[str, str]]] = {
    "source": {},
    "sink": {
        "producer.override.": "a sink without a dead letter queue topic has no producer",
    },
}
_HARMLESS: Final = frozenset((
    ("config.action.reload", "none"), ("exactly.once.support", "requested"),
))  # fmt: skip
"""Values that ask for what is done anyway."""


_QUEUE_TOPIC: Final = "errors.deadletterqueue.topic.name"
"""Gives a sink a producer."""

_USED: Final = "offset.storage.file.filename"
"""Says where the data directory is, unlike all else that begins so."""


def ignored_worker_keys(config: Mapping[str, str]) -> dict[str, str]:
    """Every key that has no effect, and why."""
    return {
        key: reason
        for key in config
        if key != _USED and (reason := _reason(key, WORKER, WORKER_PREFIXES))
    }


def ignored_connector_keys(config: Mapping[str, str], kind: str) -> dict[str, str]:
    """Every key that has no effect, and why.

    Args:
        config: the connector's configuration.
        kind: ``source`` or ``sink``.
    """
    prefixes = {**_CONNECTOR_PREFIXES[kind], **dict(_without_converter(config))}
    if config.get(_QUEUE_TOPIC, "").strip():
        prefixes.pop("producer.override.", None)
    return {
        key: reason
        for key, value in config.items()
        if (key, value.strip().lower()) not in _HARMLESS
        and (reason := _reason(key, _CONNECTOR, prefixes))
    }


def ignored_warnings(ignored: Mapping[str, str]) -> list[str]:
    """The same in sentences."""
    return [f"key {key} has no effect: {reason}" for key, reason in ignored.items()]


def _without_converter(config: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Settings of converters that the connector does not name."""
    for side in ("key", "value", "header"):
        if not config.get(f"{side}.converter", "").strip():
            yield (
                f"{side}.converter.",
                f"{side}.converter is not given; the worker's is used as it is",
            )


def _reason(key: str, names: Mapping[str, str], prefixes: Mapping[str, str]) -> str | None:
    if key.endswith(".plugin.version"):
        return _ONE_VERSION
    return names.get(key) or next((r for p, r in prefixes.items() if key.startswith(p)), None)
