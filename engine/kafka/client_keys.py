"""Names of Kafka client properties: Java's, librdkafka's, and those that mean nothing here."""

from collections.abc import Mapping
from typing import Final

RENAMED: Final[Mapping[str, str]] = {
    "delivery.timeout.ms": "message.timeout.ms",
    "max.request.size": "message.max.bytes",
    "fetch.max.wait.ms": "fetch.wait.max.ms",
    "request.timeout.ms": "socket.timeout.ms",
    "send.buffer.bytes": "socket.send.buffer.bytes",
    "receive.buffer.bytes": "socket.receive.buffer.bytes",
    "socket.connection.setup.timeout.ms": "socket.connection.setup.timeout.ms",
    "compression.gzip.level": "compression.level",
    "compression.lz4.level": "compression.level",
    "compression.zstd.level": "compression.level",
    "ssl.truststore.certificates": "ssl.ca.pem",
    "ssl.keystore.certificate.chain": "ssl.certificate.pem",
    "ssl.keystore.key": "ssl.key.pem",
    "sasl.kerberos.service.name": "sasl.kerberos.service.name",
}
"""Java's name → librdkafka's."""

OLD_NAMES: Final[Mapping[str, str]] = {
    "request.required.acks": "acks",
    "queue.buffering.max.ms": "linger.ms",
    "compression.codec": "compression.type",
    "message.send.max.retries": "retries",
    "metadata.broker.list": "bootstrap.servers",
}
"""librdkafka's old name, under which it refuses a value → the one that is used."""

_BOOLEAN: Final = "Expected value to be either true or false"


def _one_of(*choices: str) -> str:
    return f"String must be one of: {', '.join(choices)}"


CHOICES: Final[Mapping[str, str]] = {
    "auto.offset.reset": _one_of("earliest", "latest", "none"),
    "check.crcs": _BOOLEAN,
    "client.dns.lookup": _one_of("use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"),
    "compression.type": _one_of("none", "gzip", "snappy", "lz4", "zstd"),
    "enable.idempotence": _BOOLEAN,
    "group.protocol": _one_of("classic", "consumer"),
    "isolation.level": _one_of("read_committed", "read_uncommitted"),
    "security.protocol": _one_of("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    "socket.keepalive.enable": _BOOLEAN,
    "ssl.endpoint.identification.algorithm": _one_of("https", "none"),
}
"""What is expected of properties of which librdkafka says only that a value is invalid."""

CODE_ONLY: Final = (
    "buffer.memory", "max.poll.records", "sasl.jaas.config", "ssl.truststore.location",
    "ssl.keystore.type", "ssl.truststore.type",
)  # fmt: skip
"""Java's names that are translated by more than another name."""

_NO_SERIALIZERS: Final = "converters make the bytes"
_FOR_EVER: Final = "records wait for the broker for as long as it takes"

IGNORED: Final[Mapping[str, str]] = {
    "key.serializer": _NO_SERIALIZERS,
    "value.serializer": _NO_SERIALIZERS,
    "key.deserializer": _NO_SERIALIZERS,
    "value.deserializer": _NO_SERIALIZERS,
    "max.block.ms": _FOR_EVER,
    "default.api.timeout.ms": _FOR_EVER,
    "partitioner.class": "a Java class cannot run here; keys are spread as Kafka's default does",
    "partitioner.ignore.keys": "keys are spread as Kafka's default does",
    "partitioner.adaptive.partitioning.enable": "librdkafka has no such choice",
    "partitioner.availability.timeout.ms": "librdkafka has no such choice",
    "listeners": "there are no admin paths",
    "interceptor.classes": "a Java class cannot run here",
    "metric.reporters": "a Java class cannot run here",
    "auto.include.jmx.reporter": "there is no JMX here",
    "exclude.internal.topics": "librdkafka has no such choice",
    "metadata.max.idle.ms": "librdkafka has no such choice",
    "security.providers": "a Java class cannot run here",
    "sasl.client.callback.handler.class": "a Java class cannot run here",
    "ssl.protocol": "OpenSSL chooses the newest",
    "ssl.enabled.protocols": "OpenSSL chooses the newest",
    "ssl.provider": "OpenSSL is what there is",
    "ssl.truststore.password": "PEM files of certificates have none",
    "ssl.keymanager.algorithm": "OpenSSL is what there is",
    "ssl.trustmanager.algorithm": "OpenSSL is what there is",
    "ssl.secure.random.implementation": "OpenSSL is what there is",
    "ssl.engine.factory.class": "a Java class cannot run here",
}
IGNORED_PREFIXES: Final = ("listeners.", "metrics.", "sasl.login.")

PRINCIPAL_KEYS: Final = frozenset(("sasl.jaas.config", "sasl.mechanism", "security.protocol"))
"""What the override policy ``Principal`` lets a connector choose."""

ASSIGNORS: Final[Mapping[str, str]] = {
    "RangeAssignor": "range",
    "RoundRobinAssignor": "roundrobin",
    "StickyAssignor": "cooperative-sticky",
    "CooperativeStickyAssignor": "cooperative-sticky",
}

PROPERTIES: Final = (
    "acks", "allow.auto.create.topics", "api.version.request", "auto.offset.reset",
    "batch.num.messages", "batch.size", "bootstrap.servers", "broker.address.family",
    "broker.address.ttl", "check.crcs", "client.dns.lookup", "client.id", "client.rack",
    "compression.codec", "compression.level", "compression.type", "connections.max.idle.ms",
    "debug", "enable.idempotence", "enable.metrics.push", "enable.partition.eof",
    "enable.ssl.certificate.verification", "fetch.error.backoff.ms", "fetch.max.bytes",
    "fetch.message.max.bytes", "fetch.min.bytes", "fetch.queue.backoff.ms", "fetch.wait.max.ms",
    "group.id", "group.instance.id", "group.protocol", "group.remote.assignor",
    "heartbeat.interval.ms", "isolation.level", "linger.ms", "max.in.flight",
    "max.in.flight.requests.per.connection", "max.partition.fetch.bytes", "max.poll.interval.ms",
    "message.max.bytes", "message.send.max.retries", "message.timeout.ms", "metadata.max.age.ms",
    "metadata.recovery.strategy", "partition.assignment.strategy", "partitioner",
    "queue.buffering.backpressure.threshold", "queue.buffering.max.kbytes",
    "queue.buffering.max.messages", "queue.buffering.max.ms", "queued.max.messages.kbytes",
    "queued.min.messages", "receive.message.max.bytes", "reconnect.backoff.max.ms",
    "reconnect.backoff.ms", "request.required.acks", "request.timeout.ms", "retries",
    "retry.backoff.max.ms", "retry.backoff.ms", "sasl.kerberos.keytab",
    "sasl.kerberos.principal", "sasl.kerberos.service.name", "sasl.mechanism", "sasl.mechanisms",
    "sasl.oauthbearer.client.id", "sasl.oauthbearer.client.secret", "sasl.oauthbearer.config",
    "sasl.oauthbearer.method", "sasl.oauthbearer.scope", "sasl.oauthbearer.token.endpoint.url",
    "sasl.password", "sasl.username", "security.protocol", "session.timeout.ms",
    "socket.connection.setup.timeout.ms", "socket.keepalive.enable", "socket.nagle.disable",
    "socket.receive.buffer.bytes", "socket.send.buffer.bytes", "socket.timeout.ms",
    "ssl.ca.certificate.stores", "ssl.ca.location", "ssl.ca.pem", "ssl.certificate.location",
    "ssl.certificate.pem", "ssl.cipher.suites", "ssl.crl.location", "ssl.curves.list",
    "ssl.endpoint.identification.algorithm", "ssl.key.location", "ssl.key.password",
    "ssl.key.pem", "ssl.keystore.location", "ssl.keystore.password", "ssl.sigalgs.list",
    "statistics.interval.ms", "sticky.partitioning.linger.ms", "topic.metadata.refresh.interval.ms",
    "transaction.timeout.ms", "transactional.id",
)  # fmt: skip
"""librdkafka's names that are of use here: only to guess what somebody meant, never to refuse."""
