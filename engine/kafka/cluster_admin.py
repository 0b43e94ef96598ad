"""Questions about a cluster; a client is made for each and let go after it."""

from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from engine.api.errors import ConnectError
from engine.kafka.client_config import admin_config, producer_config
from engine.kafka.errors import to_connect_error

PATIENCE: Final = 5.0
_SECURITY: Final = ("security.", "ssl.", "sasl.", "client.dns.lookup")


def cluster_id(worker: Mapping[str, str]) -> str:
    """The id of the worker's cluster.

    Raises:
        ConnectError: it does not answer.
    """
    own = {f"admin.{k}": v for k, v in worker.items() if k.startswith(_SECURITY)}
    servers = {key: value for key, value in worker.items() if key == "bootstrap.servers"}
    client = producer_config(servers, {}, "connect-admin")
    admin = admin_client(admin_config(client, {**own, **worker}, {}, "connect-shared-admin"))
    description = result_of(admin.describe_cluster(request_timeout=PATIENCE), "no cluster id")
    return str(description.cluster_id)


def admin_client(config: Mapping[str, str]) -> AdminClient:
    """A client that keeps quiet: an unreachable broker is the answer, not a line every 50 ms."""
    return AdminClient({**config, "log_level": 0})


def result_of(future: "Future[Any]", problem: str) -> Any:
    """What was asked for.

    Raises:
        ConnectError: beginning with ``problem``: it was refused, or nobody answers.
    """
    try:
        return future.result(PATIENCE + 1)
    except KafkaException as error:
        raise to_connect_error(error, problem) from error
    except FutureTimeoutError as error:
        raise ConnectError(f"{problem}: no answer within {PATIENCE:g} s") from error
