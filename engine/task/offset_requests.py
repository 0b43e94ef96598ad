"""Offsets of a connector as the REST API tells and sets them. Runs in a plan child.

Whoever asks for a change has made sure that no task of the connector is left.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from engine.api.connector import Connector, SinkConnector, SourceConnector
from engine.api.errors import ConnectError
from engine.api.record import TopicPartition
from engine.kafka.group_offsets import GroupOffsets
from engine.storage.offset_store import OffsetStore
from engine.wire.plan_message import OffsetChange

_TOPIC: Final = "kafka_topic"
_PARTITION: Final = "kafka_partition"
_OFFSET: Final = "kafka_offset"
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}")
_LARGEST: Final = 2**63 - 1


class BadOffsetsError(ConnectError):
    """What somebody wants to set cannot be an offset → bad request."""


class OffsetRequests(Protocol):
    """What can be asked of one connector's offsets. Each may raise ConnectError."""

    def all(self) -> Sequence[tuple[dict[str, Any], dict[str, Any]]]:
        """Partitions and offsets in the form of the REST API."""

    def alter(self, changes: Sequence[OffsetChange]) -> bool:
        """Set offsets, or forget those that are None; whether the connector took part in it."""

    def reset(self) -> bool:
        """Forget all offsets; whether the connector took part in it."""


def offset_requests(
    connector: Connector, config: Mapping[str, str], worker: Mapping[str, str], data_dir: Path | str
) -> OffsetRequests:
    """Those of a source are in its file, those of a sink in Kafka."""
    if isinstance(connector, SourceConnector):
        return SourceOffsets(connector, config, data_dir)
    if isinstance(connector, SinkConnector):
        return SinkOffsets(connector, config, worker)
    raise TypeError(f"{type(connector).__name__} is neither a source nor a sink")


class SourceOffsets:
    """Source partitions and offsets are the connector's own, so it says what they may be."""

    def __init__(
        self, connector: SourceConnector, config: Mapping[str, str], data_dir: Path | str
    ) -> None:
        self._connector = connector
        self._config = config
        self._store = OffsetStore(data_dir, config["name"])

    def all(self) -> Sequence[tuple[dict[str, Any], dict[str, Any]]]:
        """See the protocol."""
        try:
            return [(dict(p), dict(o)) for p, o in self._store.all_offsets()]
        finally:
            self._store.close()

    def alter(self, changes: Sequence[OffsetChange]) -> bool:
        """See the protocol."""
        for change in changes:
            for values in change:
                _refuse_nested(values or {})
        told = _tell(self._connector, self._config, {_json(p): (p, o) for p, o in changes})
        rows = []
        for partition, offset in changes:
            if partition is not None:
                rows.append((partition, offset))
            elif offset is not None:
                raise ConnectError("Partition objects cannot be null")
        try:
            self._store.alter(rows)
        finally:
            self._store.close()
        return told

    def reset(self) -> bool:
        """See the protocol."""
        try:
            known = [partition for partition, _ in self._store.all_offsets()]
            told = _tell(self._connector, self._config, {_json(p): (p, None) for p in known})
            self._store.reset()
        finally:
            self._store.close()
        return told


class SinkOffsets:
    """A sink's are those of its consumer group."""

    def __init__(
        self, connector: SinkConnector, config: Mapping[str, str], worker: Mapping[str, str]
    ) -> None:
        self._connector = connector
        self._config = config
        self._group = GroupOffsets(worker, config, config["name"])

    def all(self) -> Sequence[tuple[dict[str, Any], dict[str, Any]]]:
        """See the protocol."""
        return [
            ({_TOPIC: at.topic, _PARTITION: at.partition}, {_OFFSET: offset})
            for at, offset in self._group.all().items()
        ]

    def alter(self, changes: Sequence[OffsetChange]) -> bool:
        """See the protocol."""
        parsed = {_partition_of(partition): _offset_of(offset) for partition, offset in changes}
        told = _tell(self._connector, self._config, parsed)
        self._group.alter(parsed)
        return told

    def reset(self) -> bool:
        """See the protocol."""
        told = _tell(self._connector, self._config, dict.fromkeys(self._group.all()))
        self._group.reset()
        return told


def _tell(connector: Any, config: Mapping[str, str], offsets: Mapping[Any, Any]) -> bool:
    """Let the connector check the offsets, and set them elsewhere if it does that."""
    try:
        return bool(connector.alter_offsets(config, offsets))
    except NotImplementedError as error:
        raise ConnectError(
            f"Failed to modify offsets for connector {config['name']} because it doesn't support"
            " external modification of offsets"
        ) from error


def _refuse_nested(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, (dict, list)):
            kind = "MAP" if isinstance(value, dict) else "ARRAY"
            raise ConnectError(
                f"Offsets may only contain primitive types as values, but field {name} contains"
                f" {kind}"
            )


def _partition_of(partition: Mapping[str, Any] | None) -> TopicPartition:
    if partition is None:
        raise BadOffsetsError("The partition for a sink connector offset cannot be null or missing")
    for name in (_TOPIC, _PARTITION):
        if name not in partition:
            raise BadOffsetsError(
                f"The partition for a sink connector offset must contain the key '{name}'"
            )
    topic, number = partition[_TOPIC], partition[_PARTITION]
    if not topic or not isinstance(topic, str):
        raise BadOffsetsError("Kafka topic names must be valid strings and may not be null")
    if number is None:
        raise BadOffsetsError("Kafka partitions must be valid numbers and may not be null")
    return TopicPartition(topic, _integer(number, "partition"))


def _offset_of(offset: Mapping[str, Any] | None) -> int | None:
    if offset is None:
        return None
    if _OFFSET not in offset:
        raise BadOffsetsError(
            f"The offset for a sink connector should either be null or contain the key '{_OFFSET}'"
        )
    return _integer(offset[_OFFSET], "offset")


def _integer(value: Any, what: str) -> int:
    """Both 10 and "10" are numbers here."""
    if not isinstance(value, bool) and _INTEGER.fullmatch(str(value)):
        number = int(value)
        if abs(number) <= _LARGEST:
            return number
    shown = "null" if value is None else value
    raise BadOffsetsError(
        f"Failed to parse the following Kafka {what} value in the provided offsets: '{shown}'. "
        f"{what.title()} values for sink connectors need to be integers."
    )


def _json(partition: Mapping[str, Any] | None) -> str:
    return json.dumps(partition, sort_keys=True, separators=(",", ":"))
