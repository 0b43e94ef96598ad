"""Dead letters in a Kafka topic, as upstream writes them.

A letter that the topic refuses, for its size say, goes into the worker's own file instead.
"""

import time
from functools import partial
from typing import Any, Final

from engine.api.errors import ConfigError, ConnectError
from engine.kafka.client_config import ClientConfig, admin_config, producer_config
from engine.kafka.producer import TaskProducer
from engine.kafka.topic_admin import TooFewBrokersError, TopicAdmin
from engine.model.error_policy import ErrorPolicy
from engine.model.letters.context import context_headers
from engine.model.letters.dead_letter import DeadLetter
from engine.model.topic_creation import TopicSettings
from engine.task.dead_letter_file import DeadLetterFile
from engine.task.task_life import TaskLife
from engine.task.topic_maker import TopicMaker

_SLICE: Final = 0.1
_REPLICATION: Final = "errors.deadletterqueue.topic.replication.factor"


class DeadLetterTopic:
    """Sends letters with a producer of its own, made for the first one.

    Args:
        life: of the task.
        policy: names the topic.
        file: where letters go that the topic refuses; None ends the task instead.
    """

    def __init__(self, life: TaskLife, policy: ErrorPolicy, file: DeadLetterFile | None) -> None:
        self._life = life
        self._slot = life.runtime.slot
        self._policy = policy
        self._file = file
        self._client = self._client_config()
        self._producer: TaskProducer | None = None
        self._refused: list[tuple[DeadLetter, str]] = []
        self._is_lost = False

    def open(self) -> bool:
        """Make the topic unless it is there; False when the task is to end meanwhile.

        Raises:
            ConfigError: there are too few brokers for its replicas.
            ConnectError: the cluster refuses it.
        """
        policy, client_id = self._policy, f"connector-dlq-adminclient-{self._life.id}"
        settings = TopicSettings(
            policy.topic,
            policy.topic_partitions,
            policy.topic_replication_factor,
            policy.topic_config,
        )

        def admin() -> TopicAdmin:
            worker, config = self._life.runtime.assignment.worker, self._life.runtime.config
            properties = admin_config(self._client, worker, config, client_id)
            return TopicAdmin(properties, self._life.keep_on)

        try:
            return TopicMaker(self._life, admin).make(settings, waits_for_brokers=False)
        except TooFewBrokersError as error:
            value = policy.topic_replication_factor
            raise ConfigError(
                {
                    _REPLICATION: f"Invalid value {value} for configuration {_REPLICATION}: "
                    f"{error}; expected at most the number of brokers"
                }
            ) from error

    def add(self, letter: DeadLetter) -> None:
        """Send a letter.

        Raises:
            ConnectError: the topic refuses letters and there is no other place for them.
        """
        if self._producer is None:
            self._producer = TaskProducer(self._client, self._life.keep_on, hears_all=True)
        message = self._message(letter)
        message["callback"] = partial(self._on_delivery, letter)
        if not self._producer.send_each(self._policy.topic, [message]):
            self._is_lost = True  # the task ends; the record is read again, and so is not lost
        if self._producer.failures:
            reason = self._producer.failures.pop().reason
            self._refused.append((letter, reason))
        self._put_aside()

    def flush(self, patience: float) -> bool:
        """Wait until all letters are in Kafka or put aside; whether they are.

        Raises:
            AuthenticationError: Kafka refuses this client.
            ConnectError: the topic refuses letters and there is no other place for them.
        """
        producer = self._producer
        if producer is None:
            return self._file is None or self._file.flush(patience)
        deadline = time.monotonic() + patience
        while producer.queued and (left := deadline - time.monotonic()) > 0:
            producer.flush(min(_SLICE, left))
            self._life.runtime.beat()
            self._observe(producer)
        self._observe(producer)
        self._put_aside()
        is_kept = self._file is None or self._file.flush(patience)
        return is_kept and not producer.queued and not self._is_lost

    def close(self) -> None:
        """Let go of the producer and of the file."""
        if self._producer is not None:
            self._producer.close()
        if self._file is not None:
            self._file.close()

    def _observe(self, producer: TaskProducer) -> None:
        producer.poll(0)
        producer.link.check()
        self._life.conditions.say("letters", producer.link.text if producer.queued else None)

    def _on_delivery(self, letter: DeadLetter, error: Any, _message: Any) -> None:
        """Runs inside the client's poll and only remembers."""
        if error is None:
            self._slot.add("dead_letters", 1)
        else:
            self._refused.append((letter, error.str()))

    def _put_aside(self) -> None:
        """Keep what the topic has refused."""
        refused, self._refused = self._refused, []
        for letter, reason in refused:
            self._slot.add("dead_letter_failures", 1)
            text = f"topic {self._policy.topic} refused a dead letter: {reason}"
            if self._file is None:
                raise ConnectError(text)
            self._life.log.error(f"{text}; it is kept in the worker's own queue", letter=letter.id)
            self._file.add(letter)

    def _message(self, letter: DeadLetter) -> dict[str, Any]:
        record = letter.record
        headers = list(record.headers)
        if self._policy.context_headers:
            headers += context_headers(letter)
        message: dict[str, Any] = {"value": record.value, "key": record.key}
        if headers:
            message["headers"] = headers
        if record.timestamp is not None:
            message["timestamp"] = record.timestamp
        return message

    def _client_config(self) -> ClientConfig:
        runtime = self._life.runtime
        client = producer_config(
            runtime.assignment.worker, runtime.config, f"connector-dlq-producer-{self._life.id}"
        )
        client.send_alone()
        if "enable.idempotence" not in client.origins:
            # without it Kafka refuses one letter, with it the whole client, of somebody who may
            # write nowhere; and a letter may be there twice anyway
            client.properties["enable.idempotence"] = "false"
        self._life.warn_of_ignored(client)
        return client
