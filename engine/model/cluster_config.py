"""Where a worker finds Kafka, and what connectors may change about their clients."""

from typing import Final

from engine.api.config import HIGH, LOW, config, key, one_of

_POLICIES: Final = ("All", "None", "Principal")


def _servers(value: tuple[str, ...]) -> str | None:
    """Without any, the client library would wait for ever and say nothing."""
    return None if any(value) else "expected host:port pairs"


def _policy(value: str) -> str | None:
    return one_of(*_POLICIES)(simple_policy(value))


def simple_policy(name: str) -> str:
    """The short name of an override policy, which may be given by the name of its class."""
    return name.rpartition(".")[2].removesuffix("ConnectorClientConfigOverridePolicy")


@config
class ClusterConfig:
    """Where Kafka is, and what connectors may change about their clients."""

    bootstrap_servers: tuple[str, ...] = key(
        "bootstrap.servers",
        default=("localhost:9092",),
        importance=HIGH,
        doc="The brokers to begin with, as host:port pairs.",
        check=_servers,
    )
    client_override_policy: str = key(
        "connector.client.config.override.policy",
        default="All",
        importance=LOW,
        doc="Which client settings connectors may change: All, None or Principal.",
        check=_policy,
    )
