"""Making topics and asking for their limits. A client is made for the request and let go after it.

One owner makes a topic, and never looks first: a topic that exists already is a success, while
asking for it by name could make the broker create it with other settings.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from engine.api.errors import ConnectError, RetriableError
from engine.kafka.broker_link import BrokerLink
from engine.kafka.errors import is_forbidden, to_connect_error
from engine.model.topic_creation import TopicSettings

_SLICE: Final = 0.2
_REQUEST_TIMEOUT: Final = 10.0


class TooFewBrokersError(RetriableError):
    """There are fewer brokers than a topic is to have replicas; more may come."""


class TopicAdmin:
    """Asks a cluster about topics.

    Args:
        config: from :func:`engine.kafka.client_config.admin_config`.
        keep_on: called while an answer is awaited, about five times a second; False gives up.
    """

    def __init__(self, config: Mapping[str, str], keep_on: Callable[[], bool]) -> None:
        self._config: dict[str, str | int | float | bool] = dict(config)
        self._link = BrokerLink(config["bootstrap.servers"])
        self._keep_on = keep_on

    def create(self, settings: TopicSettings) -> bool:
        """Make a topic; True when it was not there before.

        Without the permission to make it, the topic is taken to exist.

        Raises:
            TooFewBrokersError: for the number of replicas.
            AuthenticationError: the cluster does not accept who we are.
            RetriableError: no answer, or the cluster cannot do it now.
            ConnectError: the cluster refuses these settings.
        """
        topic = NewTopic(
            settings.name,
            num_partitions=settings.partitions,
            replication_factor=settings.replication_factor,
            config=dict(settings.config),
        )
        admin = self._admin()
        try:
            made = admin.create_topics([topic], request_timeout=_REQUEST_TIMEOUT)
            self._result(admin, made[settings.name])
        except KafkaException as error:
            return self._refused(settings.name, error)
        return True

    def largest_batch(self, topic: str) -> int | None:
        """The topic's ``max.message.bytes``, None when the cluster does not tell.

        Raises:
            AuthenticationError: the cluster does not accept who we are.
        """
        resource = ConfigResource(ResourceType.TOPIC, topic)
        admin = self._admin()
        try:
            asked = admin.describe_configs([resource], request_timeout=_REQUEST_TIMEOUT)
            found: Mapping[str, Any] = self._result(admin, asked[resource])
            return int(found["max.message.bytes"].value)
        except (KafkaException, KeyError, ValueError, RetriableError):
            return None

    def _admin(self) -> AdminClient:
        own: dict[str, Any] = {
            "log_level": 0,
            "error_cb": self._link.on_error,
        }  # what fails is raised
        return AdminClient({**self._config, **own})

    def _result(self, admin: AdminClient, future: "Future[Any]") -> Any:
        while True:
            try:
                return future.result(_SLICE)
            except FutureTimeoutError:
                admin.poll(0)
                self._link.check()
                if not self._keep_on():
                    raise RetriableError("stopped while waiting for the cluster") from None

    @staticmethod
    def _refused(name: str, error: KafkaException) -> bool:
        inner: KafkaError = error.args[0]
        if inner.name() == "TOPIC_ALREADY_EXISTS" or is_forbidden(inner):
            return False
        if inner.name() == "INVALID_REPLICATION_FACTOR":
            raise TooFewBrokersError(f"cannot create topic {name}: {inner.str()}") from error
        if inner.retriable() or inner.name() in _LATER:
            raise to_connect_error(error, f"cannot create topic {name}") from error
        raise ConnectError(f"cannot create topic {name}: {inner.str()}") from error


_LATER: Final = frozenset((
    "_TIMED_OUT", "_TRANSPORT", "_ALL_BROKERS_DOWN",
    "REQUEST_TIMED_OUT", "NOT_CONTROLLER",
))  # fmt: skip
