"""What librdkafka's errors mean to a task."""

from typing import Final

import msgspec
from confluent_kafka import KafkaError, KafkaException

from engine.api.errors import AuthenticationError, ConnectError, RetriableError
from engine.model.letters.dead_letter import RawRecord

_FORBIDDEN: Final = frozenset((
    "CLUSTER_AUTHORIZATION_FAILED", "TOPIC_AUTHORIZATION_FAILED",
    "GROUP_AUTHORIZATION_FAILED", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
))  # fmt: skip
_REFUSED: Final = _FORBIDDEN | frozenset((
    "_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED",
    "UNSUPPORTED_SASL_MECHANISM",
))  # fmt: skip
_TOO_LARGE: Final = frozenset((
    "MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE",
    "INVALID_MSG_SIZE",
))  # fmt: skip
_BAD_RECORD: Final = _TOO_LARGE | frozenset((
    "INVALID_RECORD", "INVALID_TIMESTAMP",
    "_INVALID_ARG", "_UNKNOWN_PARTITION",
))  # fmt: skip


class DeliveryFailure(msgspec.Struct, frozen=True):
    """A record that did not get into Kafka.

    Attributes:
        record: as far as the client still knows it: one that was on its way has lost its headers.
        code: librdkafka's name of the error.
        reason: the error in words.
        is_record: another record might have been taken.
        is_size: it was refused for its size, or its batch for the batch's.
        is_refused: credentials or permissions are the reason.
    """

    record: RawRecord
    code: str
    reason: str
    is_record: bool
    is_size: bool
    is_refused: bool

    def to_error(self) -> ConnectError:
        """The error for a task that cannot go on because of this."""
        size, topic = self.record.size, self.record.topic
        text = f"a record of {size} bytes for topic {topic} was not taken: {self.reason}"
        return AuthenticationError(text) if self.is_refused else RetriableError(text)


def failure_of(error: KafkaError, record: RawRecord) -> DeliveryFailure:
    """What a delivery error says."""
    code = error.name()
    return DeliveryFailure(
        record=record,
        code=code,
        reason=error.str(),
        is_record=code in _BAD_RECORD,
        is_size=code in _TOO_LARGE,
        is_refused=code in _REFUSED,
    )


def is_refused(error: KafkaError) -> bool:
    """Whether credentials or permissions are the reason."""
    return error.name() in _REFUSED


def is_forbidden(error: KafkaError) -> bool:
    """Whether the client is known, and lacks a permission."""
    return error.name() in _FORBIDDEN


def to_connect_error(error: "KafkaError | KafkaException", what: str) -> ConnectError:
    """A client's error as one of ours; ``what`` says what was tried."""
    inner = error.args[0] if isinstance(error, KafkaException) else error
    text = f"{what}: {inner.str()}"
    return AuthenticationError(text) if is_refused(inner) else RetriableError(text)
