"""From Kafka's client configuration, in Java's words, to librdkafka's. Nothing here does I/O.

A task's client takes ``bootstrap.servers`` from the worker, then the worker's keys with the prefix
of the client (``producer.``), then the connector's with the prefix ``producer.override.``.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from engine.api.config import parse
from engine.api.errors import ConfigError
from engine.kafka.client_keys import IGNORED, IGNORED_PREFIXES, PRINCIPAL_KEYS
from engine.kafka.client_translation import translated
from engine.model.cluster_config import ClusterConfig, simple_policy
from engine.model.limit_config import limits

DEFAULT_POLL_RECORDS: Final = 2000
"""So many of ordinary size stay in a processor's second-level cache while they are read column by
column; more of them at once are slower."""

DEFAULT_BATCH_BYTES: Final = 256 * 1024
"""Far below the largest batch that a topic takes by default, as librdkafka never splits one."""

_BATCH_OVERHEAD: Final = 100
_LONGEST_MEMBER: Final = 200
_SECRET: Final = re.compile(r"password|jaas|secret|[.]key$|[.]pem$")

_SHARED_DEFAULTS: Final = {
    # also half of the least time between connections to brokers that metadata has named
    "reconnect.backoff.ms": "20",
    # a topic that was just made has no leader yet: ask again soon, then less and less often
    "topic.metadata.refresh.fast.interval.ms": "10",
    "reconnect.backoff.max.ms": "1000",
    "socket.keepalive.enable": "true",
    "log.connection.close": "false",
    "enable.metrics.push": "false",  # its histograms are a third of a client's memory
}
_PRODUCER_DEFAULTS: Final = {
    **_SHARED_DEFAULTS,
    "enable.idempotence": "true",
    "acks": "all",
    "message.timeout.ms": "0",  # records wait for the broker for ever
    "linger.ms": "5",
    "batch.size": str(DEFAULT_BATCH_BYTES),
    "message.max.bytes": "1048576",
    "queue.buffering.max.kbytes": "16384",
    "queue.buffering.max.messages": "100000",
    "partitioner": "murmur2_random",
}
_CONSUMER_DEFAULTS: Final = {
    **_SHARED_DEFAULTS,
    "auto.offset.reset": "earliest",
    "isolation.level": "read_uncommitted",
    "fetch.queue.backoff.ms": "10",  # the default throttles a small queue to a fifth
    "queued.max.messages.kbytes": "8192",
    "partition.assignment.strategy": "cooperative-sticky",
}


_SHARES_OF_MEMORY: Final = {
    "queue.buffering.max.kbytes": 8,
    # what a fetch brings beyond the queue, and the records made of it, take as much again
    "queued.max.messages.kbytes": 16,
}
"""A queue gets this part of what a process may use."""

_LARGEST_ALONE: Final = str(8 << 20)
"""Half of the producer's queue: what is larger would never find room in it."""

_LEAST_QUEUE: Final = 1 << 20
_MOST_QUEUE: Final = 64 << 20


class ClientConfig(msgspec.Struct):
    """A client's configuration, ready for librdkafka, and what became of the rest.

    Attributes:
        properties: librdkafka's.
        origins: librdkafka's name → the key that it was written under.
        written: by such a key, the value as it was written.
        ignored: keys that have no meaning here, with the reason.
        problems: keys that cannot work, with the reason.
        poll_records: most records of one fetch of a consumer.
    """

    properties: dict[str, str] = msgspec.field(default_factory=dict)
    origins: dict[str, str] = msgspec.field(default_factory=dict)
    written: dict[str, str] = msgspec.field(default_factory=dict)
    ignored: dict[str, str] = msgspec.field(default_factory=dict)
    problems: dict[str, str] = msgspec.field(default_factory=dict)
    poll_records: int = DEFAULT_POLL_RECORDS

    def limit_memory(self, most: int) -> None:
        """Make queues that nobody has set the size of fit a process that may use so many bytes."""
        if not most:
            return
        for name, share in _SHARES_OF_MEMORY.items():
            if name in self.properties and name not in self.origins:
                size = min(max(most // share, _LEAST_QUEUE), _MOST_QUEUE)
                self.properties[name] = str(size // 1024)
                if name == "queued.max.messages.kbytes" and "fetch.max.bytes" not in self.origins:
                    self.properties["fetch.max.bytes"] = str(size)

    def send_alone(self) -> None:
        """Make a producer put each record into a batch of its own, whatever the record's size.

        A batch is refused as a whole, and who sends a few records wants no other to suffer from
        one.
        """
        if "message.max.bytes" not in self.origins:
            self.properties["message.max.bytes"] = _LARGEST_ALONE
        self.properties["batch.num.messages"] = "1"

    def limit_batch(self, limits: Iterable[int | None]) -> None:
        """Keep a producer's batches below what topics take; librdkafka never splits one."""
        size = int(self.properties["batch.size"])
        known = [limit - _BATCH_OVERHEAD for limit in limits if limit is not None]
        self.properties["batch.size"] = str(max(1, min(size, *known)) if known else size)


def producer_config(
    worker: Mapping[str, str], connector: Mapping[str, str], client_id: str
) -> ClientConfig:
    """The configuration of a source task's producer.

    Raises:
        ConfigError: a key or a value cannot work, or the worker's policy forbids it.
    """
    config = _layered("producer", _PRODUCER_DEFAULTS, worker, connector, client_id)
    config.limit_memory(limits(worker, connector).memory)
    _drop(config, "transactional.id", "exactly-once is the worker's to set up")
    if config.properties["enable.idempotence"] == "true" and _acks(config) not in ("all", "-1"):
        if "enable.idempotence" in config.origins:
            raise ConfigError(
                {
                    config.origins["acks"]: "Must set acks to all in order to use the idempotent "
                    "producer. Otherwise we cannot guarantee idempotence."
                }
            )
        config.properties["enable.idempotence"] = "false"
    return config


def consumer_config(
    worker: Mapping[str, str], connector: Mapping[str, str], client_id: str, instance: str
) -> ClientConfig:
    """The configuration of a sink task's consumer.

    Args:
        worker: the worker's configuration.
        connector: the connector's; its name gives the group.
        client_id: what the broker is to call this client.
        instance: name of the static group member, the same for every process of a task, so that a
            killed task's successor takes its partitions over at once.

    Raises:
        ConfigError: a key or a value cannot work, or the worker's policy forbids it.
    """
    group = {
        "group.id": f"connect-{connector['name']}",
        "group.instance.id": instance,
        **_CONSUMER_DEFAULTS,
    }
    config = _layered("consumer", group, worker, connector, client_id)
    config.limit_memory(limits(worker, connector).memory)
    for name in ("enable.auto.commit", "enable.auto.offset.store"):
        _drop(config, name, "offsets are committed for what the task has made durable")
        config.properties[name] = "false"
    config.poll_records = int(config.properties.pop("max.poll.records", DEFAULT_POLL_RECORDS))
    if not config.properties["group.instance.id"]:
        del config.properties["group.instance.id"]
    if config.properties.get("group.protocol", "classic").lower() == "consumer":
        for name in ("partition.assignment.strategy", "session.timeout.ms"):
            config.properties.pop(name, None)  # the broker decides them in this protocol
    return config


def worker_client_problems(worker: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with a worker's keys of its tasks' clients, by key; placeholders may be good.

    Only what can be said without the client library.
    """
    known = {key: value for key, value in worker.items() if "${" not in value}
    problems: dict[str, str] = {}
    for kind in ("producer", "consumer", "admin"):
        problems |= client_keys(kind, known, {}).problems
    return problems


def client_keys(kind: str, worker: Mapping[str, str], connector: Mapping[str, str]) -> ClientConfig:
    """What somebody has written for a client, and what is wrong with it.

    ``kind`` is ``producer``, ``consumer`` or ``admin``.
    """
    override = f"{kind}.override."
    config = ClientConfig(problems=check_overrides(worker, connector, override))
    for prefix, layer in ((f"{kind}.", worker), (override, connector)):
        for key, value in layer.items():
            if key.startswith(prefix) and key not in config.problems:
                _take(config, key, key.removeprefix(prefix), value.strip())
    return config


def member_name(task: str, topics: Sequence[str]) -> str:
    """The static group member that every process of a task is while it reads these topics.

    The name changes with the topics: a successor under the old name would be given the old member's
    partitions without a look at what it subscribes to.
    """
    digest = hashlib.sha256("\n".join((task, *sorted(topics))).encode()).hexdigest()[:8]
    return f"{task.encode()[:_LONGEST_MEMBER].decode('utf-8', 'ignore')}-{digest}"


def connection(client: ClientConfig) -> dict[str, str]:
    """How a client reaches its cluster, for another client that is to reach the same."""
    shared = ("bootstrap.servers", "security.protocol", "client.dns.lookup", "socket.timeout.ms")
    return {
        name: value
        for name, value in client.properties.items()
        if name in shared or name.startswith(("ssl.", "sasl.", "broker.address."))
    }


def admin_config(
    client: ClientConfig, worker: Mapping[str, str], connector: Mapping[str, str], client_id: str
) -> dict[str, str]:
    """The configuration of a client for administrative requests, in librdkafka's words.

    It connects as ``client`` does, but for what the worker's ``admin.`` and the connector's
    ``admin.override.`` say.

    Raises:
        ConfigError: a key or a value cannot work, or the worker's policy forbids it.
    """
    keys = client_keys("admin", worker, connector)
    if keys.problems:
        raise ConfigError(keys.problems)
    return {"client.id": client_id, **connection(client), **keys.properties}


def check_overrides(
    worker: Mapping[str, str], connector: Mapping[str, str], prefix: str
) -> dict[str, str]:
    """Keys under ``prefix`` that the worker's override policy forbids, with the reason.

    ``prefix`` is ``producer.override.``, ``consumer.override.`` or ``admin.override.``.
    """
    try:
        config = parse(ClusterConfig, worker)
    except ConfigError as error:
        return dict(error.problems)
    policy = simple_policy(config.client_override_policy)
    return {
        key: f"The '{policy}' policy does not allow '{key.removeprefix(prefix)}' to be overridden "
        "in the connector configuration."
        for key in connector
        if key.startswith(prefix) and not _allows(policy, key.removeprefix(prefix))
    }


def shown(name: str, value: str) -> str:
    """A property's value as it may be shown to people."""
    return "[hidden]" if _SECRET.search(name) else value


def _allows(policy: str, key: str) -> bool:
    return policy == "All" or (policy == "Principal" and key in PRINCIPAL_KEYS)


def _drop(config: ClientConfig, name: str, reason: str) -> None:
    """Take back a property that only the engine may set, and say so to whoever has set it."""
    config.properties.pop(name, None)
    if name in config.origins:
        config.ignored[config.origins.pop(name)] = reason


def _acks(config: ClientConfig) -> str:
    return config.properties.get("acks", "all").lower()


def _layered(
    kind: str,
    defaults: Mapping[str, str],
    worker: Mapping[str, str],
    connector: Mapping[str, str],
    client_id: str,
) -> ClientConfig:
    """Defaults, the worker's keys, the connector's keys; the later ones win."""
    config = client_keys(kind, worker, connector)
    if config.problems:
        raise ConfigError(config.problems)
    servers = ",".join(parse(ClusterConfig, worker).bootstrap_servers)
    config.properties = {
        "client.id": client_id,
        **defaults,
        "bootstrap.servers": servers,
        **config.properties,
    }
    return config


def _take(config: ClientConfig, key: str, name: str, value: str) -> None:
    """Put one key into the configuration, under the name and with the value librdkafka knows."""
    if name in IGNORED or name.startswith(IGNORED_PREFIXES):
        config.ignored[key] = IGNORED.get(name, "it has no meaning outside Java")
        return
    try:
        properties = translated(name, value)
    except ValueError as error:
        said = f"Invalid value {shown(name, value)} for configuration {key}: {error}"
        config.problems[key] = said
        return
    config.written[key] = value
    for theirs, text in properties.items():
        config.properties[theirs] = text
        config.origins[theirs] = key
