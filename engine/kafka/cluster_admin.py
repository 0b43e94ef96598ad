"""Questions about a cluster; a client is made for each and let go after it."""

from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from engine.api.errors import ConnectError
from engine.kafka.client_config import ClientConfig, admin_config, producer_config
from engine.kafka.errors import to_connect_error

PATIENCE: Final = 5.0
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
    admin = admin_client(client, "connect-shared-admin")
    description = result_of(admin.describe_cluster(request_timeout=PATIENCE), "no cluster id")
    return str(description.cluster_id)


def admin_client(client: ClientConfig, client_id: str) -> AdminClient:
    """A client that keeps quiet: an unreachable broker is the answer, not a line every 50 ms."""
    return AdminClient({**admin_config(client, client_id), "log_level": 0})


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
