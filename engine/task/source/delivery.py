"""Judges records that did not get into Kafka: skip them, end for good, or try again."""

from collections.abc import Callable
from typing import Final

from engine.api.errors import DataError, RetriableError, ToleranceExceededError
from engine.kafka.errors import DeliveryFailure
from engine.kafka.producer import TaskProducer
from engine.kafka.topic_admin import TopicAdmin
from engine.model.error_policy import Stage
from engine.storage.offset_store import OffsetStore
from engine.task.source.sent_batches import SentBatches
from engine.task.tolerance import RetryWithToleranceOperator

_RECORD_OVERHEAD: Final = 100


class DeliveryJudge:
    """Decides about a producer's failures.

    Args:
        producer: whose failures.
        operator: knows what is tolerated.
        store: remembers limits for the task's next process.
        admin: makes a client that knows topics' limits.
        sent: knows where a record came from; None when nobody wants to know.

    Attributes:
        is_lossy: a record was lost that must not be, so no offset may be committed any more.
    """

    def __init__(
        self,
        producer: TaskProducer,
        operator: RetryWithToleranceOperator,
        store: OffsetStore,
        admin: Callable[[], TopicAdmin],
        sent: SentBatches | None = None,
    ) -> None:
        self._producer = producer
        self._operator = operator
        self._store = store
        self._admin = admin
        self._sent = sent
        self.is_lossy = False

    def judge(self) -> None:
        """Deal with all failures so far.

        Raises:
            ToleranceExceededError: a record was refused and that is not allowed for.
            AuthenticationError: Kafka refuses this client.
            RetriableError: a new process of the task may do better.
        """
        self._producer.link.check()
        failures, self._producer.failures = self._producer.failures, []
        for failure in failures:
            self.is_lossy = True
            self._judge(failure)
            self.is_lossy = False

    def _judge(self, failure: DeliveryFailure) -> None:
        if not failure.is_record:
            raise failure.to_error()
        record = failure.record
        text = f"Kafka refused a record for topic {record.topic}: {failure.reason}"
        if failure.is_size:
            text = self._too_large(failure)
        try:
            found = record if self._sent is None else self._sent.find(record)
            self._operator.fail(Stage.KAFKA_PRODUCE, TaskProducer, DataError(text), found)
        except ToleranceExceededError as error:
            raise ToleranceExceededError(error.stage, text) from error.__cause__

    def _too_large(self, failure: DeliveryFailure) -> str:
        """What to say of a record's size; raises when its batch was the problem, not itself."""
        size, topic = failure.record.size, failure.record.topic
        own = self._producer.largest_record
        if size + _RECORD_OVERHEAD > own:
            return (
                f"a record of {size} bytes for topic {topic} is larger than the producer takes "
                f"({own} bytes): raise producer.override.max.request.size, and the topic's "
                "max.message.bytes with it, or make the record smaller"
            )
        limit = self._admin().largest_batch(topic)
        if limit is None or size + _RECORD_OVERHEAD > limit:
            known = "" if limit is None else f" ({limit} bytes)"
            return (
                f"a record of {size} bytes for topic {topic} is larger than the topic takes{known}:"
                " raise the topic's max.message.bytes, or make the record smaller"
            )
        self._store.limit_batch(topic, limit)
        raise RetriableError(
            f"a batch of records was larger than topic {topic} takes ({limit} bytes); "
            "the task's next process makes smaller ones"
        )
