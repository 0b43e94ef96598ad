"""Whether brokers can be reached, in words."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from engine.api.errors import AuthenticationError, RetriableError
from engine.kafka.broker_link import BrokerLink


def error(name: str, text: str = "") -> KafkaError:
    return KafkaError(getattr(KafkaError, name), text)


def down() -> BrokerLink:
    link = BrokerLink("host:9092")
    link.on_error(
        error("_TRANSPORT", "host:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: "
              "Connection refused (after 0ms in state CONNECT)")
    )  # fmt: skip
    link.on_error(error("_ALL_BROKERS_DOWN", "1/1 brokers are down"))
    return link


def test_all_brokers_down_says_since_when_and_why() -> None:
    link = down()
    assert link.is_down
    assert link.text is not None
    assert link.text.startswith("broker host:9092 not reachable since 20")
    assert link.text.endswith(": Connection refused")


def test_a_name_that_is_not_known_is_told() -> None:
    link = BrokerLink("no.host:9092")
    link.on_error(
        error("_RESOLVE", "no.host:9092/bootstrap: Failed to resolve 'no.host:9092': Name or "
              "service not known (after 0ms in state CONNECT)")
    )  # fmt: skip
    assert link.text is not None
    assert link.text.endswith("Z: Failed to resolve 'no.host:9092': Name or service not known")


def test_one_broker_less_is_no_condition() -> None:
    link = BrokerLink("host:9092")
    link.on_error(error("_TRANSPORT", "host:9092/1: Disconnected"))
    assert link.text is None


def test_an_answer_ends_it() -> None:
    link = down()
    asked: list[float] = []
    link.probe(asked.append, now=10.0)
    assert (len(asked), link.text) == (1, None)


def test_no_answer_leaves_it_and_the_next_question_comes_later() -> None:
    link = down()
    asked: list[float] = []

    def ask(patience: float) -> None:
        asked.append(patience)
        raise KafkaException(error("_TRANSPORT"))

    for now in (10.0, 10.5, 11.1):
        link.probe(ask, now)
    assert len(asked) == 2
    assert link.is_down


def test_refused_credentials_end_the_client() -> None:
    link = BrokerLink("host:9092")
    link.check()
    link.on_error(error("_AUTHENTICATION", "SASL authentication error"))
    with pytest.raises(AuthenticationError, match="Kafka at host:9092: SASL"):
        link.check()


def test_a_fatal_error_asks_for_a_new_client() -> None:
    link = BrokerLink("host:9092")
    link.on_error(KafkaError(KafkaError._FENCED, "fenced", fatal=True))
    with pytest.raises(RetriableError, match="fenced"):
        link.check()
