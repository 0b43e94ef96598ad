"""From Kafka's client configuration, in Java's words, to librdkafka's. Nothing here does I/O.

A task's client takes ``bootstrap.servers`` from the worker, then the worker's keys with the prefix
of the client (``producer.``), then the connector's with the prefix ``producer.override.``.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from engine.api.config import nearest
from engine.api.errors import ConfigError
from engine.kafka.client_keys import (
    ASSIGNORS,
    CODE_ONLY,
    IGNORED,
    IGNORED_PREFIXES,
    OLD_NAMES,
    PRINCIPAL_KEYS,
    PROPERTIES,
    RENAMED,
)  # fmt: skip
from engine.model.limit_config import limits

DEFAULT_POLL_RECORDS: Final = 2000
"""So many of ordinary size stay in a processor's second-level cache while they are read column by
column; more of them at once are slower."""

DEFAULT_BATCH_BYTES: Final = 256 * 1024
"""Far below the largest batch that a topic takes by default, as librdkafka never splits one."""

_BATCH_OVERHEAD: Final = 100
_LONGEST_MEMBER: Final = 200
_JAAS_OPTION: Final = re.compile(r"""(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')""")
_SECRET: Final = re.compile(r"password|jaas|secret|[.]key$|[.]pem$")
_QUOTED: Final = re.compile(r'"([^"]+)"')
_OUTSIDE: Final = re.compile(r"outside allowed range (-?\d+)\.\.(-?\d+)")
_UNKNOWN_PROPERTY: Final = re.compile(r'No such configuration property: "([^"]*)"')

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


@dataclass(slots=True)
class ClientConfig:
    """A client's configuration, ready for librdkafka, and what became of the rest.

    Attributes:
        properties: librdkafka's.
        origins: librdkafka's name → the key that it was written under.
        ignored: keys that have no meaning here, with the reason.
        poll_records: most records of one fetch of a consumer.
    """

    properties: dict[str, str] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
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


def member_name(task: str, topics: Sequence[str]) -> str:
    """The static group member that every process of a task is while it reads these topics.

    The name changes with the topics: a successor under the old name would be given the old member's
    partitions without a look at what it subscribes to.
    """
    digest = hashlib.sha256("\n".join((task, *sorted(topics))).encode()).hexdigest()[:8]
    return f"{task.encode()[:_LONGEST_MEMBER].decode('utf-8', 'ignore')}-{digest}"


def admin_config(client: ClientConfig, client_id: str) -> dict[str, str]:
    """How to reach the cluster that a client talks to, for an administrative request."""
    shared = ("bootstrap.servers", "security.protocol", "client.dns.lookup", "socket.timeout.ms")
    return {
        **{
            k: v
            for k, v in client.properties.items()
            if k in shared or k.startswith(("ssl.", "sasl.", "broker.address."))
        },
        "client.id": client_id,
    }


def check_overrides(
    worker: Mapping[str, str], connector: Mapping[str, str], prefix: str
) -> dict[str, str]:
    """Keys under ``prefix`` that the worker's override policy forbids, with the reason.

    ``prefix`` is ``producer.override.``, ``consumer.override.`` or ``admin.override.``.
    """
    policy = worker.get("connector.client.config.override.policy", "All").strip()
    policy = policy.rpartition(".")[2].removesuffix("ConnectorClientConfigOverridePolicy")
    if policy not in ("All", "None", "Principal"):
        return {
            "connector.client.config.override.policy": f"Invalid value {policy} for configuration "
            "connector.client.config.override.policy: expected All, None or Principal"
        }
    return {
        key: f"The '{policy}' policy does not allow '{key.removeprefix(prefix)}' to be overridden "
        "in the connector configuration."
        for key in connector
        if key.startswith(prefix) and not _allows(policy, key.removeprefix(prefix))
    }


def unknown_property(message: str, config: ClientConfig) -> ConfigError:
    """What librdkafka's refusal of a configuration means in the words of the one who wrote it."""
    found = _UNKNOWN_PROPERTY.search(message)
    if not found:
        return _refused_value(message.strip(), config)
    name = found[1]
    origin = config.origins.get(name, name)
    guess = nearest(name, (*PROPERTIES, *RENAMED, *CODE_ONLY))
    hint = f", did you mean {origin.removesuffix(name)}{guess}?" if guess else ""
    return ConfigError({origin: f"Unknown configuration {origin}{hint}"})


def _refused_value(message: str, config: ClientConfig) -> ConfigError:
    for quoted in _QUOTED.findall(message):
        name = OLD_NAMES.get(quoted, quoted)
        origin = config.origins.get(name)
        if origin is not None:
            limits = _OUTSIDE.search(message)
            expected = f": expected {limits[1]} to {limits[2]}" if limits else ""
            value = config.properties[name]
            text = f"Invalid value {value} for configuration {origin}{expected}"
            return ConfigError({origin: text})
    return ConfigError({"": message})


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
    override = f"{kind}.override."
    forbidden = check_overrides(worker, connector, override)
    if forbidden:
        raise ConfigError(forbidden)
    config = ClientConfig(properties={"client.id": client_id, **defaults})
    config.properties["bootstrap.servers"] = worker.get("bootstrap.servers", "localhost:9092")
    problems: dict[str, str] = {}
    for prefix, layer in ((f"{kind}.", worker), (override, connector)):
        for key, value in layer.items():
            if key.startswith(prefix):
                _take(config, key, key.removeprefix(prefix), value.strip(), problems)
    if problems:
        raise ConfigError(problems)
    return config


def _take(config: ClientConfig, key: str, name: str, value: str, problems: dict[str, str]) -> None:
    """Put one key into the configuration, under the name and with the value librdkafka knows."""
    if name in IGNORED or name.startswith(IGNORED_PREFIXES):
        config.ignored[key] = IGNORED.get(name, "it has no meaning outside Java")
        return
    try:
        translated = _translated(name, value)
    except ValueError as error:
        shown = "[hidden]" if _SECRET.search(name) else value
        problems[key] = f"Invalid value {shown} for configuration {key}: {error}"
        return
    for theirs, text in translated.items():
        config.properties[theirs] = text
        config.origins[theirs] = key


def _translated(name: str, value: str) -> Mapping[str, str]:
    if name in _TRANSLATORS:
        return _TRANSLATORS[name](name, value)
    return {RENAMED.get(name, name): value}


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise ValueError("Not a number of type INT") from None
    if number < 1:
        raise ValueError("Value must be at least 1")
    return number


def _assignor(name: str) -> str:
    simple = name.strip().rpartition(".")[2]
    return ASSIGNORS.get(simple, simple)


def _assignors(name: str, value: str) -> Mapping[str, str]:
    return {name: ",".join(_assignor(each) for each in value.split(","))}


def _jaas(_name: str, text: str) -> Mapping[str, str]:
    """User name and password out of a JAAS line, which only Java reads as it is."""
    options = {
        m[1]: re.sub(r"\\(.)", r"\1", m[2] if m[2] is not None else m[3])
        for m in _JAAS_OPTION.finditer(text)
    }
    if "username" not in options or "password" not in options:
        raise ValueError('expected a login module with username="…" and password="…"')
    return {"sasl.username": options["username"], "sasl.password": options["password"]}


def _store_type(_name: str, value: str) -> Mapping[str, str]:
    if value.upper() not in ("PEM", "PKCS12"):
        raise ValueError("expected PEM or PKCS12; convert a JKS store with keytool -importkeystore")
    return {}


def _store_location(name: str, value: str) -> Mapping[str, str]:
    """A store by its ending: PEM files are what librdkafka reads, PKCS12 for the key only."""
    lowered = value.lower()
    if lowered.endswith(".jks"):
        raise ValueError("JKS stores are Java's own; expected PEM")
    if name == "ssl.truststore.location":
        if lowered.endswith((".p12", ".pfx")):
            raise ValueError("expected a PEM file with the trusted certificates")
        return {"ssl.ca.location": value}
    if lowered.endswith((".p12", ".pfx")):
        return {"ssl.keystore.location": value}
    return {"ssl.certificate.location": value, "ssl.key.location": value}


_TRANSLATORS: Final[Mapping[str, Callable[[str, str], Mapping[str, str]]]] = {
    "sasl.jaas.config": _jaas,
    "buffer.memory": lambda _, v: {"queue.buffering.max.kbytes": str(max(1, int(v) // 1024))},
    "max.poll.records": lambda name, v: {name: str(_positive(v))},
    "partition.assignment.strategy": _assignors,
    "auto.offset.reset": lambda name, v: {name: "error" if v == "none" else v},
    "ssl.endpoint.identification.algorithm": lambda name, v: {name: v or "none"},
    "enable.idempotence": lambda name, v: {name: v.lower()},
    "ssl.truststore.type": _store_type,
    "ssl.keystore.type": _store_type,
    "ssl.truststore.location": _store_location,
    "ssl.keystore.location": _store_location,
}
