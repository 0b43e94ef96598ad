"""The producer of a source task: batches in, failures out, nothing called for each record.

Used by one thread. Successful deliveries are never told one by one: :attr:`TaskProducer.queued`
falls to zero when everything is in Kafka, and :attr:`TaskProducer.failures` says what is not.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from engine.kafka.broker_link import BrokerLink
from engine.kafka.client_config import ClientConfig
from engine.kafka.client_log import client_logger
from engine.kafka.client_refusal import REFUSALS, refusal
from engine.kafka.errors import DeliveryFailure, failure_of
from engine.model.letters.dead_letter import RawRecord

_CHUNK: Final = 20_000
"""So few records are marked one by one when the queue is full."""

_ROOM_WAIT: Final = 0.1

_ACQUAINTED_AFTER: Final = 0.025
"""Seconds from the making of a client until it gets its first record. One that has records before
it knows its brokers asks for its producer id only when a timer of 500 ms fires."""


class TaskProducer:
    """A Kafka producer that takes batches.

    Args:
        config: from :func:`engine.kafka.client_config.producer_config`.
        keep_on: called while records wait for room, about ten times a second; False gives up.
        hears_all: callbacks of single records hear of successes, too.

    Attributes:
        failures: what was not delivered, oldest first; whoever deals with them clears the list.
        link: whether the brokers can be reached.
        largest_record: bytes that one record may have.

    Raises:
        ConfigError: the client library refuses a property.
    """

    def __init__(
        self, config: ClientConfig, keep_on: Callable[[], bool], *, hears_all: bool = False
    ) -> None:
        self.failures: list[DeliveryFailure] = []
        self.link = BrokerLink(config.properties["bootstrap.servers"])
        self._keep_on = keep_on
        self._topic: str | None = None
        self.largest_record = int(config.properties.get("message.max.bytes", "1000000"))
        self._most = int(config.properties.get("queue.buffering.max.messages", "100000"))
        properties: dict[str, Any] = {
            **config.properties,
            "error_cb": self.link.on_error,
            "on_delivery": self.on_delivery,
            "delivery.report.only.error": not hears_all,
        }
        self._acquainted_at: float | None = time.monotonic() + _ACQUAINTED_AFTER
        try:
            self._producer = Producer(properties, logger=client_logger(__name__))
        except REFUSALS as error:
            raise refusal(error, config, Producer) from error

    @property
    def queued(self) -> int:
        """Records whose fate is open."""
        return len(self._producer)

    def send(self, topic: str, messages: "list[dict[str, Any]]") -> bool:
        """Queue records in order, waiting for room; False when the wait was given up.

        Args:
            topic: where they go.
            messages: per record ``value`` and, where there is one, ``key``, ``partition`` and
                ``callback``. Headers and timestamps need :meth:`send_each`.
        """
        self._topic = topic
        self._get_acquainted()
        produce = self._producer.produce_batch
        for start in range(0, len(messages), _CHUNK):
            chunk = messages[start : start + _CHUNK] if len(messages) > _CHUNK else messages
            while produce(topic, chunk) != len(chunk):
                chunk = self._take_back(topic, chunk)
                if not chunk:
                    break
                if not self._wait_for_room():
                    return False
        self._producer.poll(0)
        return True

    def send_each(self, topic: str, messages: "Sequence[dict[str, Any]]") -> bool:
        """Like :meth:`send`, one record at a time: takes ``headers`` and ``timestamp`` as well."""
        self._topic = topic
        self._get_acquainted()
        for message in messages:
            while True:
                try:
                    self._producer.produce(topic, **message)
                    break
                except BufferError:
                    if not self._wait_for_room():
                        return False
                except KafkaException as error:
                    self.failures.append(failure_of(error.args[0], _record(topic, message)))
                    break
        self._producer.poll(0)
        return True

    def poll(self, seconds: float = 0.0) -> None:
        """Hear what became of records."""
        self._producer.poll(seconds)
        if self.link.is_down:
            self.link.probe(self._ask, time.monotonic())

    def flush(self, seconds: float) -> int:
        """Wait until everything is delivered or the time is over; how many records are left."""
        return self._producer.flush(seconds)

    def close(self) -> None:
        """Forget what is still queued and let go."""
        self._producer.purge()  # unheard: the callbacks of single records would come too late

    def _get_acquainted(self) -> None:
        """Before the first record: let the client connect."""
        if self._acquainted_at is None:
            return
        while (left := self._acquainted_at - time.monotonic()) > 0:
            self._producer.poll(left)
        self._acquainted_at = None

    def _take_back(self, topic: str, chunk: "list[dict[str, Any]]") -> "list[dict[str, Any]]":
        """Those of the chunk that found no room; the others that failed become failures."""
        left = []
        for message in chunk:
            error: KafkaError | None = message.pop("_error", None)
            if error is None:
                continue
            if error.name() == "_QUEUE_FULL":
                left.append(message)
            else:
                self.failures.append(failure_of(error, _record(topic, message)))
        return left

    def _wait_for_room(self) -> bool:
        """Wait until a good part of the queue is free: retrying for little room costs much."""
        enough = min(self._most, len(self._producer)) * 3 // 4
        while len(self._producer) > enough:
            self.poll(_ROOM_WAIT)
            if not self._keep_on():
                return False
        return True

    def on_delivery(self, error: KafkaError | None, message: Message) -> None:
        """Take an answer from the client; runs inside its ``poll`` and only remembers."""
        if error is not None:
            record = RawRecord(
                message.topic() or "",
                key=message.key(),
                value=message.value(),
                timestamp=max(message.timestamp()[1], 0) or None,
            )
            self.failures.append(failure_of(error, record))

    def _ask(self, patience: float) -> object:
        if self._topic is None:
            return self._producer.list_topics(timeout=patience)
        return self._producer.list_topics(self._topic, timeout=patience)


def _record(topic: str, message: "dict[str, Any]") -> RawRecord:
    return RawRecord(
        topic,
        key=message.get("key"),
        value=message.get("value"),
        headers=message.get("headers", ()),
        partition=message.get("partition"),
        timestamp=message.get("timestamp"),
    )
