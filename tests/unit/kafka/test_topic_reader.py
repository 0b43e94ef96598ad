"""What a topic's reader makes of what the client tells it."""

from typing import Any

import pytest
from confluent_kafka import KafkaError

from engine.api.errors import AuthenticationError
from engine.kafka.client_config import ClientConfig
from engine.kafka.topic_reader import Span, TopicReader


class Told:
    """A message of the client: a record, or an error."""

    def __init__(self, offset: int | None = None, code: int | None = None) -> None:
        self.offset = lambda: offset
        self.error = lambda: None if code is None else KafkaError(code)


class Client:
    """Tells what it was given."""

    def __init__(self, *messages: Told) -> None:
        self._messages = list(messages)

    def assign(self, _places: Any) -> None:
        pass

    def poll(self, _seconds: float) -> Told:
        return self._messages.pop(0)

    def consume(self, _most: int, _seconds: float) -> list[Told]:
        return []


def read(*messages: Told) -> list[int]:
    reader = TopicReader(ClientConfig(), "t")
    reader.__dict__["_consumer"] = Client(*messages)
    return [message.offset() or 0 for page in reader.pages(0, Span(0, 2)) for message in page]


def test_a_group_that_nobody_has_granted_is_not_needed() -> None:
    refused = Told(code=KafkaError.GROUP_AUTHORIZATION_FAILED)
    assert read(refused, Told(0), refused, Told(1)) == [0, 1]


def test_a_topic_that_nobody_has_granted_is_told() -> None:
    with pytest.raises(AuthenticationError, match="topic t cannot be read"):
        read(Told(0), Told(code=KafkaError.TOPIC_AUTHORIZATION_FAILED))
