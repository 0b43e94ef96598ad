"""Questions about a cluster and its groups; a client is made for each and let go after it."""

from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Final

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException
from confluent_kafka.admin import AdminClient

from engine.api.errors import ConnectError
from engine.kafka.client_config import ClientConfig, admin_config, consumer_config, producer_config
from engine.kafka.errors import to_connect_error

_PATIENCE: Final = 5.0
_SECURITY: Final = ("security.", "ssl.", "sasl.", "client.dns.lookup")


def cluster_id(worker: Mapping[str, str]) -> str:
    """The id of the worker's cluster.

    Raises:
        ConnectError: it does not answer.
    """
    settings = {f"producer.{k}": v for k, v in worker.items() if k.startswith(_SECURITY)}
    settings |= {
        f"producer.{k.removeprefix('admin.')}": v
        for k, v in worker.items()
        if k.startswith("admin.") and not k.startswith("admin.listeners")
    }
    servers = {key: value for key, value in worker.items() if key == "bootstrap.servers"}
    client = producer_config({**servers, **settings}, {}, "connect-admin")
    admin = _admin(client, "connect-shared-admin")
    description = _result(admin.describe_cluster(request_timeout=_PATIENCE), "no cluster id")
    return str(description.cluster_id)


def group_offsets(
    worker: Mapping[str, str], connector: Mapping[str, str], name: str
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """What a sink's consumer group has committed, in the form of the REST API.

    Raises:
        ConnectError: the cluster does not answer.
    """
    client = consumer_config(worker, {**connector, "name": name}, f"connect-{name}", name)
    group = client.properties["group.id"]
    admin = _admin(client, f"connector-adminclient-{name}")
    asked = admin.list_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(group)], request_timeout=_PATIENCE
    )
    found = _result(asked[group], f"no offsets of group {group}")
    return [
        (
            {"kafka_topic": each.topic, "kafka_partition": each.partition},
            {"kafka_offset": each.offset},
        )
        for each in sorted(found.topic_partitions or [], key=lambda t: (t.topic, t.partition))
        if each.offset >= 0
    ]


def _admin(client: ClientConfig, client_id: str) -> AdminClient:
    """A client that keeps quiet: an unreachable broker is the answer, not a line every 50 ms."""
    return AdminClient({**admin_config(client, client_id), "log_level": 0})


def _result(future: "Future[Any]", problem: str) -> Any:
    try:
        return future.result(_PATIENCE + 1)
    except KafkaException as error:
        raise to_connect_error(error, problem) from error
    except FutureTimeoutError as error:
        raise ConnectError(f"{problem}: no answer within {_PATIENCE:g} s") from error
