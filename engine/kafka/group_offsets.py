"""What a sink connector's consumer group has committed: read, set, forgotten; no task may run."""

import json
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Final

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from engine.api.errors import ConnectError
from engine.api.record import TopicPartition
from engine.kafka.client_config import admin_config, consumer_config
from engine.kafka.cluster_admin import PATIENCE, admin_client, result_of
from engine.kafka.errors import to_connect_error
from engine.wire.log_sequence import get_logger

_INHABITED: Final = frozenset(
    ("UNKNOWN_MEMBER_ID", "NON_EMPTY_GROUP", "GROUP_SUBSCRIBED_TO_TOPIC", "REBALANCE_IN_PROGRESS")
)
_LARGEST_PARTITION: Final = 2**31 - 1


class GroupOffsets:
    """The offsets of one connector's group.

    Args:
        worker: the worker's configuration.
        connector: the connector's; may name another group or another cluster.
        name: the connector's name.
    """

    def __init__(self, worker: Mapping[str, str], connector: Mapping[str, str], name: str) -> None:
        client = consumer_config(worker, {**connector, "name": name}, f"connect-{name}", name)
        self._name = name
        self._group = client.properties["group.id"]
        client_id = f"connector-adminclient-{name}"
        self._admin = admin_client(admin_config(client, worker, connector, client_id))

    def all(self) -> dict[TopicPartition, int]:
        """What is committed, in order.

        Raises:
            ConnectError: the cluster does not answer.
        """
        asked = self._admin.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(self._group)], request_timeout=PATIENCE
        )
        found = result_of(asked[self._group], f"no offsets of group {self._group}")
        committed = {
            TopicPartition(each.topic, each.partition): int(each.offset)
            for each in found.topic_partitions or ()
            if each.offset >= 0
        }
        return dict(sorted(committed.items()))

    def alter(self, changes: Mapping[TopicPartition, int | None]) -> None:
        """Set offsets; None forgets a partition's.

        The client library cannot forget single ones: the group is deleted, and what is to stay is
        set again. If the cluster is gone in between, the error says what has to be set.

        Raises:
            ConnectError: the cluster refuses, the group has members, or there is no answer.
        """
        self._refuse_impossible(changes)
        self._set({at: offset for at, offset in changes.items() if offset is not None})
        gone = {at for at, offset in changes.items() if offset is None}
        committed = self.all() if gone else {}
        if gone.isdisjoint(committed):
            return
        left = {at: offset for at, offset in committed.items() if at not in gone}
        get_logger(__name__).info(
            "offsets of single partitions are forgotten", group=self._group, kept=_body(left)
        )
        self.reset()
        try:
            self._set(left)
        except ConnectError as error:
            raise ConnectError(
                f"{error}. The offsets of all partitions are forgotten now; set those again that"
                f" were to stay: {_body(left)}"
            ) from error

    def reset(self) -> None:
        """Forget everything: the group is deleted.

        Raises:
            ConnectError: the group has members, or there is no answer.
        """
        asked = self._admin.delete_consumer_groups([self._group], request_timeout=PATIENCE)
        said = f"Failed to reset consumer group offsets for connector {self._name}"
        try:
            self._answer(asked[self._group], said)
        except KafkaException as error:
            if error.args[0].name() != "GROUP_ID_NOT_FOUND":
                raise to_connect_error(error, said) from error

    def _set(self, offsets: Mapping[TopicPartition, int]) -> None:
        if not offsets:
            return
        wanted = [ClientPartition(at.topic, at.partition, n) for at, n in offsets.items()]
        said = f"Failed to alter consumer group offsets for connector {self._name}"
        try:
            asked = self._admin.alter_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(self._group, wanted)], request_timeout=PATIENCE
            )
            done = self._answer(asked[self._group], said)
        except KafkaException as error:
            raise to_connect_error(error, said) from error
        except ValueError as error:
            raise ConnectError(f"{said}: {error}") from error
        for each in done.topic_partitions:
            if each.error is not None:
                self._refuse_inhabited(each.error.name(), said)
                raise ConnectError(f"{said}: {each.topic}-{each.partition}: {each.error.str()}")

    def _answer(self, future: "Future[Any]", said: str) -> Any:
        try:
            return future.result(PATIENCE + 1)
        except KafkaException as error:
            self._refuse_inhabited(error.args[0].name(), said)
            raise
        except TimeoutError as error:
            raise ConnectError(f"{said}: no answer within {PATIENCE:g} s") from error

    def _refuse_inhabited(self, code: str, said: str) -> None:
        if code in _INHABITED:
            raise ConnectError(
                f"{said} either because its tasks haven't stopped completely yet or the connector"
                " was resumed before the request could be successfully completed. If the connector"
                " is in a stopped state, this operation can be safely retried: the group forgets a"
                " task that was killed when its session ends."
            )

    def _refuse_impossible(self, changes: Mapping[TopicPartition, int | None]) -> None:
        for at, offset in changes.items():
            if (offset is not None and offset < 0) or not 0 <= at.partition <= _LARGEST_PARTITION:
                raise ConnectError(
                    f"Failed to modify offsets for sink connector {self._name}: neither partitions"
                    f" nor offsets are negative, but {at.topic}-{at.partition} was to have {offset}"
                )


def _body(offsets: Mapping[TopicPartition, int]) -> str:
    """As a request would say it."""
    pairs = [{"partition": {"kafka_topic": at.topic, "kafka_partition": at.partition},
              "offset": {"kafka_offset": offset}} for at, offset in offsets.items()]  # fmt: skip
    return json.dumps({"offsets": pairs}, separators=(",", ":"))
