"""What happens to records that cannot be handled: the ``errors.*`` keys of a connector.

Kafka's own keys stand first, in Kafka's order and groups; then those of tutorials and of other
connectors, which are understood, and then ours, which a worker may give as defaults for all.
"""

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Final

import msgspec

from engine.api.config import (
    LOW,
    ConfigKeys,
    ConfigType,
    at_least,
    changed,
    config,
    key,
    keys_of,
    names_of,
    one_of,
    parse,
)  # fmt: skip
from engine.api.errors import ConfigError
from engine.model.retry import RetryLimits
from engine.model.tolerance_rate import ToleranceRate, rate_problem, tolerance_rate

_GROUP: Final = "Error Handling"
_QUEUE_PREFIX: Final = "errors.deadletterqueue."
_TOLERANCE: Final = "errors.tolerance"
_RATE: Final = "engine.errors.tolerance.rate"
_RETRY_TIMEOUT: Final = "errors.retry.timeout"
_LONGEST_TASK_DELAY: Final = 10.0


class Stage(StrEnum):
    """Where a record failed (upstream: ``Stage``)."""

    TASK_POLL = "TASK_POLL"
    TRANSFORMATION = "TRANSFORMATION"
    KEY_CONVERTER = "KEY_CONVERTER"
    VALUE_CONVERTER = "VALUE_CONVERTER"
    HEADER_CONVERTER = "HEADER_CONVERTER"
    KAFKA_PRODUCE = "KAFKA_PRODUCE"
    KAFKA_CONSUME = "KAFKA_CONSUME"
    TASK_PUT = "TASK_PUT"


class QueueLimits(msgspec.Struct, frozen=True):
    """Bounds of one connector's file.

    Attributes:
        size: bytes.
        age: seconds; below 0 for ever.
        drops_oldest: what gives way at the bound of size: the oldest letters, or nothing at all.
    """

    size: int
    age: float
    drops_oldest: bool = True


@config
class ErrorConfig:
    """The ``errors.*`` keys that users of Kafka Connect know."""

    retry_timeout: float = key(
        _RETRY_TIMEOUT, default=0.0, milliseconds=True, group=_GROUP,
        width="MEDIUM", display_name="Retry Timeout for Errors",
        doc="For how many milliseconds a failed operation is tried again; 0 never, -1 for ever.",
    )  # fmt: skip
    retry_delay_max: float = key(
        "errors.retry.delay.max.ms", default=60.0, milliseconds=True, group=_GROUP,
        width="MEDIUM", display_name="Maximum Delay Between Retries for Errors",
        doc="The longest wait between two tries, in milliseconds.",
    )  # fmt: skip
    tolerance: str = key(
        _TOLERANCE, default="none", check=one_of("none", "all"), group=_GROUP,
        width="SHORT", display_name="Error Tolerance",
        doc="none: a bad record fails its task; all: bad records are skipped.",
    )  # fmt: skip
    log_enable: bool = key(
        "errors.log.enable", default=False, group=_GROUP,
        width="SHORT", display_name="Log Errors",
        doc="Whether each error is logged, the tolerated ones too.",
    )  # fmt: skip
    log_include_messages: bool = key(
        "errors.log.include.messages", default=False, group=_GROUP,
        width="SHORT", display_name="Log Error Details",
        doc="Whether a logged error names the record that failed.",
    )  # fmt: skip
    topic: str = key(
        f"{_QUEUE_PREFIX}topic.name", default="", group=_GROUP,
        width="MEDIUM", display_name="Dead Letter Queue Topic Name",
        doc="The topic for records that fail; none if empty.",
    )  # fmt: skip
    topic_replication_factor: int = key(
        f"{_QUEUE_PREFIX}topic.replication.factor", default=3, type=ConfigType.SHORT, group=_GROUP,
        width="MEDIUM", display_name="Dead Letter Queue Topic Replication Factor",
        doc="The replication factor of that topic, when it has to be created.",
    )  # fmt: skip
    context_headers: bool = key(
        f"{_QUEUE_PREFIX}context.headers.enable", default=False, group=_GROUP,
        width="MEDIUM", display_name="Enable Error Context Headers",
        doc="Whether such a record gets headers that say what happened.",
    )  # fmt: skip
    topic_partitions: int = key(
        f"{_QUEUE_PREFIX}topic.partitions", default=1, type=ConfigType.INT, importance=LOW,
        doc="How many partitions that topic gets when it has to be created.",
        check=at_least(1),
    )  # fmt: skip
    max_retries: int = key(
        "errors.max.retries", default=-1, type=ConfigType.INT, importance=LOW,
        doc="How often a failed operation is tried again, polls and puts as well; -1 as often as "
        "there is time. Without errors.retry.timeout there is.",
        check=at_least(-1),
    )  # fmt: skip
    retry_delay_initial: float = key(
        "errors.retry.delay.initial.ms", default=0.3, milliseconds=True, importance=LOW,
        doc="How long to wait before the first retry; doubled with every further one.",
        check=at_least(0.001),
    )  # fmt: skip


@config
class EngineErrorConfig:
    """What goes beyond Kafka Connect; a worker's keys hold for connectors that say nothing else."""

    rate: str = key(
        _RATE, default="", importance=LOW, check=rate_problem,
        doc="How many failures errors.tolerance=all tolerates: a share of the records of a time "
        "(1%/5m), a number in a time (100/5m), or a number without a success between them "
        "(10/consecutive). One failure more fails the task. Empty: any number.",
    )  # fmt: skip
    task_retry_timeout: float = key(
        "engine.errors.task.retry.timeout.ms", default=-0.001, milliseconds=True, importance=LOW,
        doc="How long a poll or a put that asks for a retry is tried again; -1 for ever. After "
        "that a put has failed for good.",
        check=at_least(-1),
    )  # fmt: skip
    queue_enable: str = key(
        "engine.errors.queue.enable", default="auto", importance=LOW,
        check=one_of("auto", "true", "false"),
        doc="Whether records that are given up are kept in the worker's data directory: those "
        "without a dead letter topic, and those that the topic refuses. auto: where errors are "
        "tolerated or a topic is named.",
    )  # fmt: skip
    queue_max_bytes: int = key(
        "engine.errors.queue.max.bytes", default=64 << 20, importance=LOW, check=at_least(65536),
        doc="The largest size of that queue, for each connector.",
    )  # fmt: skip
    queue_max_age: float = key(
        "engine.errors.queue.max.age.ms", default=30 * 86400.0, milliseconds=True, importance=LOW,
        doc="How long records stay in that queue; -1 for ever.", check=at_least(-1),
    )  # fmt: skip
    queue_overflow: str = key(
        "engine.errors.queue.overflow", default="drop-oldest", importance=LOW,
        check=one_of("drop-oldest", "fail"),
        doc="What happens when that queue has its largest size: the oldest records are dropped and "
        "counted, or the task fails.",
    )  # fmt: skip
    topic_retention: float = key(
        "engine.errors.topic.retention.ms", default=-0.001, milliseconds=True, importance=LOW,
        doc="retention.ms of the dead letter topic, when it has to be created; -1 for ever. Kafka "
        "goes by the records' own time, so that a bound deletes letters of old records at once.",
        check=at_least(-1),
    )  # fmt: skip
    quarantine_enable: bool = key(
        "engine.errors.quarantine.enable", default=True, importance=LOW,
        doc="Whether a record that ends the process which works on it is looked for and given up, "
        "where errors are tolerated.",
    )  # fmt: skip


@config
class ErrorPolicy(EngineErrorConfig, ErrorConfig):
    """Everything that decides about records that fail."""

    @property
    def is_tolerant(self) -> bool:
        """Whether a bad record may be skipped."""
        return self.tolerance == "all"

    @cached_property
    def tolerance_rate(self) -> ToleranceRate | None:
        """How many may be skipped; None for any number."""
        return tolerance_rate(self.rate) if self.rate else None

    @property
    def has_quarantine(self) -> bool:
        """Whether a record may be given up because it ends processes."""
        return self.is_tolerant and self.quarantine_enable

    @property
    def has_queue(self) -> bool:
        """Whether the worker's own queue keeps what no topic takes."""
        if self.queue_enable == "auto":
            return self.is_tolerant or bool(self.topic)
        return self.queue_enable == "true"

    @property
    def queue_limits(self) -> QueueLimits:
        """Bounds of the worker's own queue."""
        return QueueLimits(
            self.queue_max_bytes, self.queue_max_age, self.queue_overflow == "drop-oldest"
        )

    @property
    def topic_config(self) -> dict[str, str]:
        """Settings of the dead letter topic, when it has to be created."""
        return {"retention.ms": str(round(self.topic_retention * 1000))}

    @property
    def limits(self) -> RetryLimits:
        """For operations on a single record."""
        return RetryLimits(
            self.retry_delay_initial, self.retry_delay_max, self.retry_timeout, self.max_retries
        )

    @property
    def task_limits(self) -> RetryLimits:
        """For calls of the task itself, which Kafka Connect repeats for ever."""
        longest = min(self.retry_delay_max, _LONGEST_TASK_DELAY)
        return RetryLimits(
            self.retry_delay_initial, longest, self.task_retry_timeout, self.max_retries
        )


def kafka_error_keys(*, queue: bool) -> ConfigKeys:
    """Kafka's own: those of the dead letter queue, which sinks have upstream, or the others."""
    return [
        each
        for each in keys_of(ErrorConfig)
        if each.group and each.name.startswith(_QUEUE_PREFIX) is queue
    ]


def error_policy(worker: Mapping[str, str], connector: Mapping[str, str]) -> ErrorPolicy:
    """The policy of a connector, with the worker's ``engine.errors.`` keys as defaults.

    Raises:
        ConfigError: with every problem.
    """
    ours = names_of(EngineErrorConfig)
    defaults = {name: text for name, text in worker.items() if name in ours}
    policy = parse(ErrorPolicy, {**defaults, **connector})
    if connector.get(_RATE) and _TOLERANCE not in connector:
        policy = changed(policy, tolerance="all")
    if connector.get(_RATE) and not policy.is_tolerant:
        raise ConfigError({
            _RATE: f"Invalid value {policy.rate} for configuration {_RATE}: nothing is tolerated "
            f"with {_TOLERANCE}={policy.tolerance}; expected {_TOLERANCE}=all, or no rate"
        })  # fmt: skip
    if policy.max_retries > 0 and _RETRY_TIMEOUT not in connector:
        policy = changed(policy, retry_timeout=-0.001)
    return policy
