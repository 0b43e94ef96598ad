"""Where a replay's records would lie in a topic, and which of them are there already."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from engine.api.errors import ConnectError, NotFoundError
from engine.kafka.client_config import ClientConfig, admin_config
from engine.kafka.client_log import client_logger
from engine.kafka.errors import to_connect_error

_PATIENCE: Final = 4.0
_BATCH: Final = 1000


class ReplayTopic:
    """A topic as somebody sees it who wants to know what a replay has put there.

    Args:
        client: reaches the cluster.
        topic: its name.
    """

    def __init__(self, client: ClientConfig, topic: str) -> None:
        self._topic = topic
        self._properties = {
            **admin_config(client, "connector-replay"),
            "group.id": "connector-replay",  # nobody joins it, nothing is committed
            "enable.auto.commit": "false",
            "enable.partition.eof": "true",
            "log_level": 0,
        }

    def ends(self) -> dict[int, int]:
        """The offset behind the last record, by partition.

        Raises:
            NotFoundError: there is no such topic.
            ConnectError: the cluster does not answer.
        """
        with self._consumer() as consumer:
            return self._ends(consumer)

    def headers_behind(
        self, begins: Mapping[int, int], name: str
    ) -> Iterator[tuple[int, int, str]]:
        """Partition, offset and text of a header of all records from some offsets on.

        Raises:
            ConnectError: they could not be read in time.
        """
        with self._consumer() as consumer:
            left = {p for p, end in self._ends(consumer).items() if begins.get(p, 0) < end}
            consumer.assign([TopicPartition(self._topic, p, begins.get(p, 0)) for p in left])
            deadline = time.monotonic() + _PATIENCE
            while left:
                if time.monotonic() >= deadline:
                    raise ConnectError(f"topic {self._topic} could not be read in {_PATIENCE:g} s")
                for message in consumer.consume(_BATCH, 0.1):
                    if self._is_record(message):
                        yield from _headers(message, name)
                    else:
                        left.discard(message.partition())

    def _is_record(self, message: Any) -> bool:
        """False at the end of a partition."""
        error = message.error()
        if error is None:
            return True
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 (its public name)
            return False
        raise to_connect_error(error, f"topic {self._topic}")

    def _ends(self, consumer: Consumer) -> dict[int, int]:
        try:
            found = consumer.list_topics(self._topic, timeout=_PATIENCE).topics[self._topic]
            if found.error is not None or not found.partitions:
                raise NotFoundError(f"There is no topic {self._topic} to send letters to")
            return {
                partition: consumer.get_watermark_offsets(
                    TopicPartition(self._topic, partition), timeout=_PATIENCE
                )[1]
                for partition in found.partitions
            }
        except KafkaException as error:
            raise to_connect_error(error, f"topic {self._topic}") from error

    @contextmanager
    def _consumer(self) -> Iterator[Consumer]:
        consumer = Consumer(self._properties, logger=client_logger(__name__))
        try:
            yield consumer
        finally:
            consumer.close()


def _headers(message: Any, name: str) -> Iterator[tuple[int, int, str]]:
    for key, value in message.headers() or ():
        if key == name and value is not None:
            yield message.partition(), message.offset(), value.decode(errors="replace")
