"""A topic as somebody reads it who looks something up: partition by partition, between offsets."""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from engine.api.errors import ConnectError
from engine.kafka.client_config import ClientConfig, connection
from engine.kafka.client_log import client_logger
from engine.kafka.errors import to_connect_error

_PATIENCE: Final = 4.0
_BATCH: Final = 500
_SLICE: Final = 0.1
_MISSING: Final = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)  # noqa: SLF001


class Span(NamedTuple):
    """Offsets of a partition that can be read: from ``begin`` up to ``end``, not included."""

    begin: int
    end: int


class TopicReader:
    """Reads without a group: nobody is joined, nothing is committed.

    Args:
        client: reaches the cluster.
        topic: its name.
        admin: of a client that may delete records, where that is asked for.
    """

    def __init__(
        self, client: ClientConfig, topic: str, admin: Mapping[str, str] | None = None
    ) -> None:
        self.topic = topic
        self._client = {**connection(client), "client.id": "connector-letters"}
        self._admin = admin or self._client

    def spans(self) -> dict[int, Span]:
        """What can be read now, by partition; empty where there is no such topic.

        Raises:
            ConnectError: the cluster does not answer.
        """
        with self._errors("cannot be asked for"):
            found = self._consumer.list_topics(self.topic, timeout=_PATIENCE).topics[self.topic]
            if found.error is not None and found.error.code() not in _MISSING:
                raise KafkaException(found.error)
            return {
                partition: Span(
                    *self._consumer.get_watermark_offsets(
                        TopicPartition(self.topic, partition), timeout=_PATIENCE
                    )
                )
                for partition in sorted(found.partitions or ())
            }

    def pages(self, partition: int, span: Span) -> Iterator[list[Message]]:
        """The records of a span in order, in pages, of which some may be empty.

        Raises:
            ConnectError: nothing can be read.
        """
        if span.begin >= span.end:
            return
        consumer = self._consumer
        with self._errors("cannot be read"):
            consumer.assign([TopicPartition(self.topic, partition, span.begin)])
            is_over, deadline = False, time.monotonic() + _PATIENCE
            while not is_over:
                messages = []
                first = consumer.poll(_SLICE)
                for message in () if first is None else (first, *consumer.consume(_BATCH - 1, 0)):
                    is_over = is_over or self._is_end(message, span.end)
                    if message.error() is None and (message.offset() or 0) < span.end:
                        messages.append(message)
                if messages:
                    deadline = time.monotonic() + _PATIENCE
                elif time.monotonic() >= deadline and not is_over:
                    text = f"nothing came from {self.topic}-{partition} in {_PATIENCE:g} s"
                    raise ConnectError(text)
                yield messages

    def cut(self, partition: int, before: int) -> None:
        """Delete the records before an offset, for everybody.

        Raises:
            ConnectError: the cluster refuses, or does not answer.
        """
        at = TopicPartition(self.topic, partition, before)
        admin = AdminClient({**self._admin, "log_level": 0})
        with self._errors(f"cannot be cut before offset {before} of partition {partition}"):
            asked = admin.delete_records([at], request_timeout=_PATIENCE)
            asked[at].result(_PATIENCE + 1)

    def close(self) -> None:
        """Let go of the client."""
        if "_consumer" in self.__dict__:
            self._consumer.close()
            del self._consumer

    def _is_end(self, message: Message, end: int) -> bool:
        """Whether nothing that is wanted comes behind it."""
        error = message.error()
        if error is None:
            return (message.offset() or 0) >= end - 1
        if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            return False  # nobody has granted the group, and nothing is asked of it
        if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 (its public name)
            raise KafkaException(error)
        return True

    @cached_property
    def _consumer(self) -> Consumer:
        properties: dict[str, Any] = {
            **self._client,
            "group.id": "connector-letters",  # nobody joins it
            "enable.auto.commit": "false",
            "enable.partition.eof": "true",
            "auto.offset.reset": "earliest",  # records may go while they are read
            "queued.max.messages.kbytes": "8192",
            "fetch.wait.max.ms": "10",  # what is to be read is there
            "fetch.queue.backoff.ms": "10",
            "log_level": 0,
        }
        return Consumer(properties, logger=client_logger(__name__))

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        problem = f"topic {self.topic} {what}"
        try:
            yield
        except KafkaException as error:
            raise to_connect_error(error, problem) from error
        except FutureTimeoutError as error:
            raise ConnectError(f"{problem}: no answer within {_PATIENCE:g} s") from error
