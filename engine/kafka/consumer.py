"""The consumer of a sink task: fetches as columns, and what a group does to its members.

Used by one thread. Rebalances are told to a :class:`RebalanceListener` from inside
:meth:`TaskConsumer.fetch`; what a listener raises comes out of ``fetch``.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
from confluent_kafka import (
    OFFSET_STORED,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
)
from confluent_kafka import TopicPartition as ClientPartition

from engine.api.record import TopicPartition
from engine.kafka.broker_link import BrokerLink
from engine.kafka.client_config import ClientConfig
from engine.kafka.client_log import client_logger
from engine.kafka.client_refusal import REFUSALS, refusal
from engine.kafka.damage import Damage, DamageSearch
from engine.kafka.errors import is_refused, to_connect_error
from engine.kafka.fetch import Fetch, first_since_back

_PASSING: Final = frozenset((
    "_PARTITION_EOF", "_TRANSPORT", "_ALL_BROKERS_DOWN",
    "_TIMED_OUT", "_RESOLVE", "_MAX_POLL_EXCEEDED",
    "UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION",
))  # fmt: skip
"""Errors that the client gets over by itself."""

_LEAVE_PATIENCE: Final = 1.0


class Opening(msgspec.Struct, frozen=True):
    """How partitions that came are read: from where, unless the group knows; and whether yet."""

    offsets: Mapping[TopicPartition, int] = msgspec.field(default_factory=dict)
    paused: frozenset[TopicPartition] = frozenset()


class RebalanceListener(Protocol):
    """Hears which partitions come and go."""

    def on_assigned(self, partitions: frozenset[TopicPartition]) -> Opening:
        """These came; nothing has been read from them yet."""

    def on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
        """These go; the last moment to commit their offsets."""

    def on_lost(self, partitions: frozenset[TopicPartition]) -> None:
        """These are gone already; committing is pointless."""


_NOTHING: Final = Fetch(())

_FIRST_LOOK: Final = 0.5
_LONGEST_LOOK: Final = 30.0
"""Seconds between looks for topics that were not there."""

_LOOK_PATIENCE: Final = 2.0


class TaskConsumer:
    """A member of a sink connector's group.

    Args:
        config: from :func:`engine.kafka.client_config.consumer_config`.
        listener: hears about rebalances.

    Attributes:
        link: whether the brokers can be reached.
        missing: why subscribed topics bring no partitions; None when they do.
        committed: what became of :meth:`commit`, one entry each: None or the error's text.

    Raises:
        ConfigError: the client library refuses a property.
    """

    def __init__(self, config: ClientConfig, listener: RebalanceListener) -> None:
        self.link = BrokerLink(config.properties["bootstrap.servers"])
        self.committed: list[str | None] = []
        self.missing: str | None = None
        self._look_at, self._look_pause = 0.0, _FIRST_LOOK
        self._listener = listener
        self._poll_records = self._most = config.poll_records
        self._raised: Exception | None = None
        self._gone: set[TopicPartition] = set()
        self._assigned: frozenset[TopicPartition] = frozenset()
        self._client_assigned: list[ClientPartition] = []
        self._is_static = "group.instance.id" in config.properties
        properties: dict[str, Any] = {
            **config.properties,
            "error_cb": self.link.on_error,
            "on_commit": self._on_commit,
        }
        self._is_incremental = (
            "cooperative" in config.properties.get("partition.assignment.strategy", "")
            or config.properties.get("group.protocol", "").lower() == "consumer"
        )
        try:
            self._consumer = Consumer(properties, logger=client_logger(__name__))
        except REFUSALS as error:
            raise refusal(error, config, Consumer) from error
        self._damage = DamageSearch(self._consumer)

    def subscribe(self, topics: Sequence[str]) -> None:
        """Join the group for these topics; one that begins with ``^`` is a regular expression."""
        self._consumer.subscribe(
            list(topics),
            on_assign=lambda _, found: self._take(found),
            on_revoke=lambda _, found: self._give(self._listener.on_revoked, found),
            on_lost=lambda _, found: self._give(self._listener.on_lost, found),
        )

    def limit(self, records: int | None) -> None:
        """Fetch so many at once, at most; None for as many as are configured."""
        self._most = self._poll_records if records is None else min(records, self._poll_records)

    def fetch(self, seconds: float) -> Fetch:
        """What is there; waits for the first record only.

        Raises:
            AuthenticationError: this client may not read.
            RetriableError: the client is broken; a new process may do better.
        """
        self._raise_stored()
        self._gone.clear()
        first = self._consumer.poll(seconds)
        if first is None:
            self._raise_stored()
            if self.link.is_down:
                self.link.probe(self._ask, time.monotonic())
            elif self.missing is not None:
                self._look_for_topics(time.monotonic())
            return _NOTHING
        messages = [first]
        if self._most > 1:
            messages += self._consumer.consume(self._most - 1, 0)
        if self._damage.is_searching or any(map(Message.error, messages)):
            messages = [m for m in self._damage.sift(messages) if not self._is_error(m)]
        if messages:
            self.link.is_up()
        return Fetch(self._still_ours(messages) if self._gone else messages)

    def _look_for_topics(self, now: float) -> None:
        """Ask for all topics: the client looks for one that is made later after minutes only."""
        if now < self._look_at:
            return
        self._look_at = now + self._look_pause
        self._look_pause = min(2 * self._look_pause, _LONGEST_LOOK)
        with contextlib.suppress(KafkaException):  # what is wrong is told by other ways
            self._consumer.list_topics(timeout=_LOOK_PATIENCE)

    def _still_ours(self, messages: "list[Message]") -> "list[Message]":
        """Without what was read from partitions before they went, though they may be back."""
        kept: list[Message] = []
        by_partition: dict[TopicPartition, list[Message]] = {}
        for each in messages:
            partition = TopicPartition(each.topic() or "", each.partition() or 0)
            if partition in self._gone:
                by_partition.setdefault(partition, []).append(each)
            else:
                kept.append(each)
        positions = self.positions()
        for partition, found in by_partition.items():
            if partition in self._assigned:
                offsets = [each.offset() or 0 for each in found]
                kept += found[first_since_back(offsets, positions.get(partition)) :]
        return kept

    def take_damage(self) -> list[Damage]:
        """Records that could not be read and were passed, since the last call."""
        found, self._damage.found = self._damage.found, []
        return found

    def serve(self, seconds: float) -> None:
        """Hear answers at the end, when everything is paused; a stray record stays uncommitted."""
        self._consumer.poll(seconds)

    def put_back(self, fetch: Fetch) -> None:
        """Have these fetched once more."""
        firsts: dict[TopicPartition, int] = {}
        for topic, partition, offset in fetch.positions():
            firsts.setdefault(TopicPartition(topic, partition), offset)
        self.seek(firsts)

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions that this member reads now."""
        return self._assigned

    def positions(self) -> dict[TopicPartition, int]:
        """The next offset of each partition from which something was read."""
        if not self._client_assigned:
            return {}
        return {
            TopicPartition(p.topic, p.partition): p.offset
            for p in self._consumer.position(self._client_assigned)
            if p.offset >= 0
        }

    def committed_offsets(self, seconds: float) -> dict[TopicPartition, int] | None:
        """What the group has committed for this member's partitions; None without an answer."""
        try:
            found = self._consumer.committed(self._client_assigned, timeout=seconds)
        except KafkaException:
            return None
        return {TopicPartition(p.topic, p.partition): p.offset for p in found if p.offset >= 0}

    def lag(self, positions: Mapping[TopicPartition, int]) -> int | None:
        """Records between the positions and the ends of the partitions, None when unknown."""
        total, known = 0, False
        for each in self._client_assigned:
            low, high = self._consumer.get_watermark_offsets(each, cached=True)
            if high >= 0:
                start = positions.get(TopicPartition(each.topic, each.partition), max(low, 0))
                total += max(0, high - start)
                known = True
        return total if known else None

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Ask the broker to keep offsets; :attr:`committed` tells the answer after a fetch."""
        try:
            self._consumer.commit(offsets=_with_offsets(offsets), asynchronous=True)
        except KafkaException as error:
            self.committed.append(error.args[0].str())

    def commit_and_wait(self, offsets: Mapping[TopicPartition, int]) -> str | None:
        """Commit offsets inside a rebalance; what went wrong, or None."""
        try:
            results = self._consumer.commit(offsets=_with_offsets(offsets), asynchronous=False)
        except KafkaException as error:
            text: str = error.args[0].str()
            return text
        return next((p.error.str() for p in results or () if p.error), None)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch nothing from these until :meth:`resume`; group membership is kept."""
        self._consumer.pause(_client_partitions(partitions))

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch from these again, from where they stopped."""
        self._consumer.resume(_client_partitions(partitions))

    def seek(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read on from these offsets.

        Raises:
            RetriableError: the client cannot do it now.
        """
        for each in _with_offsets(offsets):
            try:
                self._consumer.seek(each)
            except KafkaException as error:
                raise to_connect_error(error, f"cannot seek in {each.topic}") from error

    def rewind(self) -> None:
        """Read on from what was committed, or from where the group would start."""
        stored = [
            ClientPartition(p.topic, p.partition, OFFSET_STORED) for p in self._client_assigned
        ]
        if not stored:
            return
        if self._is_incremental:
            self._consumer.incremental_unassign(stored)
            self._consumer.incremental_assign(stored)
        else:
            self._consumer.assign(stored)

    def close(self, *, final: bool) -> None:
        """Let go. Partitions pass to others at once when this is final, else to a successor.

        Closing alone would not do it: a static member that closes is expected to come back. And
        one that is to come back need not close, which may wait for brokers.
        """
        self._listener = _NobodyListens()
        if self.link.is_down or not (final or not self._is_static):
            return
        self._consumer.unsubscribe()
        deadline = time.monotonic() + _LEAVE_PATIENCE
        while self._consumer.assignment() and time.monotonic() < deadline:
            self._consumer.poll(0.02)
        self._consumer.close()

    def _take(self, found: "Sequence[ClientPartition]") -> None:
        """Partitions came: let the listener choose where to begin, then begin."""
        opening = Opening()
        try:
            if found:
                self.missing, self._look_pause = None, _FIRST_LOOK
                opening = self._listener.on_assigned(_partitions(found))
        except Exception as error:  # noqa: BLE001 (it must not pass through the client's frames)
            self._raised = self._raised or error
        for each in found:
            start = opening.offsets.get(TopicPartition(each.topic, each.partition))
            if start is not None:
                each.offset = start
        if self._is_incremental:
            self._consumer.incremental_assign(list(found))
        else:
            self._consumer.assign(list(found))
        if opening.paused:
            self.pause(opening.paused)
        self._remember(_partitions(found) | (self._assigned if self._is_incremental else set()))

    def _give(
        self,
        hear: "Callable[[frozenset[TopicPartition]], None]",
        found: "Sequence[ClientPartition]",
    ) -> None:
        """Partitions go: let the listener finish with them first."""
        gone = _partitions(found)
        self._damage.forget(gone)
        self._gone |= gone
        try:
            hear(gone)
        except Exception as error:  # noqa: BLE001 (it must not pass through the client's frames)
            self._raised = self._raised or error
        self._remember(self._assigned - gone)

    def _remember(self, assigned: frozenset[TopicPartition]) -> None:
        self._assigned = frozenset(assigned)
        self._client_assigned = _client_partitions(sorted(assigned))

    def _is_error(self, message: "Message") -> bool:
        error = message.error()
        if error is None:
            return False
        if error.name() in ("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC") and not self._assigned:
            self.missing = error.str()
        if is_refused(error) or error.fatal() or error.name() not in _PASSING:
            self._raised = self._raised or to_connect_error(error, "consuming failed")
        return True

    def _raise_stored(self) -> None:
        self.link.check()
        if self._raised is not None:
            raised, self._raised = self._raised, None
            raise raised

    def _on_commit(self, error: "KafkaError | None", partitions: "list[ClientPartition]") -> None:
        failed = error or next((p.error for p in partitions if p.error), None)
        self.committed.append(failed.str() if failed else None)

    def _ask(self, patience: float) -> object:
        if self._client_assigned:
            return self._consumer.list_topics(self._client_assigned[0].topic, timeout=patience)
        return self._consumer.list_topics(timeout=patience)


class _NobodyListens:
    """Hears the end of a member whose partitions are settled already."""

    def on_assigned(self, partitions: frozenset[TopicPartition]) -> Opening:  # noqa: ARG002
        """Nothing to do."""
        return Opening()

    def on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
        """Nothing to do."""

    def on_lost(self, partitions: frozenset[TopicPartition]) -> None:
        """Nothing to do."""


def subscription(topics: str, pattern: str) -> list[str]:
    """What to subscribe to: names, or a regular expression that a name matches as a whole."""
    if pattern:
        return [f"^({pattern})$" if "|" in pattern else f"^{pattern}$"]
    return [name for name in (each.strip() for each in topics.split(",")) if name]


def _partitions(found: "Iterable[ClientPartition]") -> frozenset[TopicPartition]:
    return frozenset(TopicPartition(p.topic, p.partition) for p in found)


def _client_partitions(partitions: Iterable[TopicPartition]) -> "list[ClientPartition]":
    return [ClientPartition(p.topic, p.partition) for p in partitions]


def _with_offsets(offsets: Mapping[TopicPartition, int]) -> "list[ClientPartition]":
    return [ClientPartition(p.topic, p.partition, offset) for p, offset in offsets.items()]
