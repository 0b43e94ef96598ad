"""The loop of a source task: poll, transform, convert, produce, and now and then commit.

Offsets are committed behind a barrier: nothing is sent until everything sent before is in Kafka,
then the offset of the last batch holds for all of them. So no record needs a callback of its own,
and records that were filtered out move the offset on like any other.
"""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from engine.api.config import parse
from engine.api.errors import RetriableError
from engine.api.record import Offset, Partition, SourceBatch, SourceRecord
from engine.api.task import SourceTask
from engine.kafka.client_config import admin_config, producer_config
from engine.kafka.producer import TaskProducer
from engine.kafka.topic_admin import TopicAdmin
from engine.model.loop_config import LoopConfig
from engine.model.task_id import TaskId
from engine.model.topic_creation import topic_creation
from engine.storage.database import StoreError
from engine.storage.offset_store import OffsetStore
from engine.task.conditions import Conditions
from engine.task.delivery import DeliveryJudge
from engine.task.log_reporter import LogReporter
from engine.task.runtime import TaskRuntime
from engine.task.source_context import SourceContext
from engine.task.source_conversion import Outgoing, SourceConversion
from engine.task.task_plugins import TaskPlugins
from engine.task.tolerance import ErrorReporter, Failed, RetryWithToleranceOperator
from engine.wire.log_sequence import get_logger

_FLUSH_SLICE: Final = 0.25
_SHORTEST_IDLE: Final = 0.001
_LONGEST_IDLE: Final = 0.1
_TOPIC_RETRY: Final = 1.0
_OWN_WAIT_NS: Final = 5_000_000


class WorkerSourceTask:
    """Runs a source task (upstream: ``WorkerSourceTask``)."""

    def __init__(self, runtime: TaskRuntime, task: SourceTask, plugins: TaskPlugins) -> None:
        assignment = runtime.assignment
        self._runtime = runtime
        self._slot = runtime.slot
        self._task = task
        self._plugins = plugins
        self._id = TaskId(assignment.connector, assignment.task)
        self._config = parse(LoopConfig, assignment.worker)
        self._log = get_logger("engine.task.source")
        self._conditions = Conditions(runtime)
        self._store = OffsetStore(Path(assignment.data_dir), assignment.connector)
        self._creation = (
            topic_creation(runtime.config) if self._config.topic_creation_enable else None
        )
        self._wants_records = type(task).commit_record is not SourceTask.commit_record
        self._client = self._client_config()
        self._operator = RetryWithToleranceOperator(
            plugins.errors, runtime.slot, self._wait, self._reporters()
        )
        self._conversion = SourceConversion(
            plugins, self._operator, keep_records=self._wants_records
        )
        self._pending: dict[str, tuple[Partition, Offset]] = {}
        self._topics: set[str] = set()
        self._idle = 0.0
        self._sent = 0
        self._acknowledged = 0
        self._next_commit = 0.0
        self._producer: TaskProducer
        self._judge: DeliveryJudge

    def run(self) -> None:
        """Run until the supervisor says stop.

        Raises:
            ConfigError: the configuration cannot work.
            ToleranceExceededError: a record failed and that is not allowed for.
            AuthenticationError: Kafka refuses this client.
            RetriableError: a new process may do better.
        """
        self._producer = TaskProducer(self._client, self._keep_on, hears_all=self._wants_records)
        self._judge = DeliveryJudge(self._producer, self._operator, self._store, self._topic_admin)
        self._slot.stage = "start"
        self._task.initialize(SourceContext(self._runtime, self._conditions, self._store))
        try:
            if self._is_started():
                self._loop_and_commit()
        finally:
            self._close()

    def _loop_and_commit(self) -> None:
        """The loop and the last commit, which a failure does not prevent."""
        try:
            self._loop()
        except BaseException:
            if not self._judge.is_lossy:
                try:
                    self._commit(self._config.final_flush, is_last=True)
                except Exception as error:  # noqa: BLE001 (the first failure is the one to tell)
                    self._log.error("the last commit failed", error=str(error))
            raise
        self._commit(self._config.final_flush, is_last=True)

    def _is_started(self) -> bool:
        """Start the task, when it is not to be paused from the beginning."""
        runtime = self._runtime
        if runtime.is_paused:
            self._slot.stage = "paused"
            runtime.ready()
            self._wait_while_paused()
            if runtime.is_stopping:
                return False
            self._task.start(runtime.task_config)
            runtime.paused_changed(paused=False)
        else:
            self._task.start(runtime.task_config)
            runtime.ready()
        self._next_commit = time.monotonic() + self._config.offset_flush_interval
        return True

    def _loop(self) -> None:
        runtime, poll = self._runtime, self._poll
        while True:
            runtime.beat()
            runtime.take_orders()
            if runtime.is_stopping:
                return
            if runtime.is_paused:
                self._pause()
                continue
            batches = poll()
            if batches:
                self._send_all(batches)
            else:
                self._wait(self._idle)
            self._observe()
            if time.monotonic() >= self._next_commit:
                self._commit(self._config.offset_flush_timeout)

    def _poll(self) -> Sequence[SourceBatch]:
        """What the task has; sets how long to wait when that is nothing."""
        slot = self._slot
        slot.stage = "poll"
        began = time.monotonic_ns()
        try:
            polled = self._task.poll()
        except RetriableError as error:
            self._log.warning("poll failed and is tried again", error=str(error))
            slot.add("retries", 1)
            self._idle = max(_LONGEST_IDLE, error.retry_after or 0.0)
            return ()
        took = time.monotonic_ns() - began
        if not polled:
            # a task that waits itself is asked again at once, one that does not must not spin
            waits = took > _OWN_WAIT_NS
            self._idle = 0.0 if waits else min(max(_SHORTEST_IDLE, self._idle * 2), _LONGEST_IDLE)
            return ()
        self._idle = 0.0
        slot.add("batches", 1)
        slot.raise_to("batch_records_max", len(polled))
        slot.add("batch_ns", took)
        slot.raise_to("batch_ns_max", took)
        return [polled] if isinstance(polled, SourceBatch) else SourceBatch.of(polled)

    def _send_all(self, batches: Sequence[SourceBatch]) -> None:
        for batch in batches:
            if not len(batch):
                self._track(batch)
            elif not self._send(batch):
                return

    def _send(self, batch: SourceBatch) -> bool:
        """Transform, convert and queue a batch; False when the task is to end meanwhile."""
        slot = self._slot
        slot.add("records_in", len(batch))
        for part in self._transformed(batch):
            slot.stage = "convert"
            outgoing = self._conversion.convert(part)
            if not self._produce(outgoing):
                return False
            slot.add("bytes_in", outgoing.size)
        self._track(batch)
        return True

    def _transformed(self, batch: SourceBatch) -> Sequence[SourceBatch]:
        chain = self._plugins.transformations
        if not chain:
            return (batch,)
        self._slot.stage = "transform"
        kept: list[SourceRecord] = []
        for record in batch.records():
            changed = chain.apply(record, self._operator)
            if changed is None:
                self._slot.add("records_filtered", 1)
            elif not isinstance(changed, Failed):
                kept.append(changed)
                continue
            if self._wants_records:
                self._task.commit_record(record, None)
        return SourceBatch.of(kept)

    def _produce(self, outgoing: Outgoing) -> bool:
        if outgoing.topic not in self._topics and not self._make_topic(outgoing.topic):
            return False
        slot, messages = self._slot, outgoing.messages
        slot.stage = "produce"
        if self._wants_records:
            for message, record in zip(messages, outgoing.records, strict=True):
                message["callback"] = partial(self._on_delivery, record)
            for record in outgoing.dropped:
                self._task.commit_record(record, None)
        self._sent += len(messages)
        send = self._producer.send if self._is_batch(outgoing) else self._producer.send_each
        if not send(outgoing.topic, messages):
            return False
        slot.add("records_out", len(messages))
        slot.add("bytes_out", outgoing.size)
        return True

    def _is_batch(self, outgoing: Outgoing) -> bool:
        """Whether the client's batch call, which drops headers, can take them."""
        return outgoing.is_plain or not any(
            "headers" in m or "timestamp" in m for m in outgoing.messages
        )

    def _on_delivery(self, record: SourceRecord, error: Any, message: Any) -> None:
        """Runs inside the client's poll, for tasks that want to hear of every record."""
        if error is None:
            self._task.commit_record(record, message)
        else:
            self._producer.on_delivery(error, message)
            if self._plugins.errors.tolerates_all:
                self._task.commit_record(record, None)

    def _track(self, batch: SourceBatch) -> None:
        """Remember the offset behind a batch; it is committed with the next barrier."""
        if batch.source_partition is not None and batch.source_offset is not None:
            name = repr(sorted(batch.source_partition.items()))
            self._pending[name] = (batch.source_partition, batch.source_offset)

    def _observe(self) -> None:
        """Hear what became of records, and say so."""
        producer, slot = self._producer, self._slot
        producer.poll(0)
        queued = producer.queued
        slot["queue_records"] = queued
        acknowledged = self._sent - queued
        if acknowledged > self._acknowledged:
            self._acknowledged = acknowledged
            self._runtime.progressed()
            producer.link.is_up()
            if not slot["first_ack_ns"]:
                slot["first_ack_ns"] = time.monotonic_ns()
        self._conditions.say("kafka", producer.link.text)
        self._judge.judge()

    def _commit(self, patience: float, *, is_last: bool = False) -> bool:
        """Wait until everything sent is in Kafka, and commit the offsets behind it."""
        slot, began = self._slot, time.monotonic_ns()
        slot.stage = "flush"
        self._next_commit = time.monotonic() + self._config.offset_flush_interval
        if not self._is_drained(patience, is_last=is_last):
            slot.add("commit_failures", 1)
            self._log.warning(
                "records wait for Kafka; offsets are committed later",
                records=self._producer.queued,
            )
            return False
        slot.stage = "commit"
        if not self._is_stored():
            return False
        self._tell_task()
        took = time.monotonic_ns() - began
        slot.add("commit_ns", took)
        slot.raise_to("commit_ns_max", took)
        return True

    def _tell_task(self) -> None:
        try:
            self._task.commit()
        except Exception as error:  # noqa: BLE001 (the offsets are stored, and that is what counts)
            self._log.error("the task's commit failed", error=str(error), exc_info=error)

    def _is_drained(self, patience: float, *, is_last: bool) -> bool:
        deadline = time.monotonic() + patience
        while (left := deadline - time.monotonic()) > 0 or not self._producer.queued:
            remaining = self._producer.flush(max(0.0, min(_FLUSH_SLICE, left)))
            self._runtime.beat()
            self._observe()
            if not remaining:
                return True
            self._runtime.take_orders()
            if self._runtime.is_stopping and not is_last:
                return False  # the last commit waits as long as there is time
        return False

    def _is_stored(self) -> bool:
        """Store what is pending; offsets that cannot be stored now wait for the next commit."""
        slot = self._slot
        if not self._pending:
            slot.add("commit_skips", 1)
            return True
        try:
            self._store.write(
                self._pending.values(), task=self._id.task, generation=self._runtime.generation
            )
        except StoreError as error:
            slot.add("commit_failures", 1)
            self._log.error("offsets cannot be stored", error=str(error))
            self._conditions.say("offsets", f"offsets cannot be stored: {error}")
            return False
        self._conditions.say("offsets", None)
        self._pending.clear()
        slot.add("commits", 1)
        slot["last_commit_ns"] = time.monotonic_ns()
        return True

    def _pause(self) -> None:
        """Commit what there is, say PAUSED and wait; the task itself stays as it is."""
        self._commit(self._config.offset_flush_timeout)
        self._slot.stage = "paused"
        self._runtime.paused_changed(paused=True)
        self._wait_while_paused()
        if not self._runtime.is_stopping:
            self._runtime.paused_changed(paused=False)

    def _wait_while_paused(self) -> None:
        while self._runtime.is_paused and not self._runtime.is_stopping:
            self._runtime.wait(1.0)
            self._observe()
            if self._producer.queued == 0 and self._pending:
                self._is_stored()

    def _make_topic(self, topic: str) -> bool:
        """Make a topic by the connector's rules; False when the task is to end meanwhile."""
        while self._creation is not None:
            try:
                made = self._topic_admin().create(self._creation.settings(topic))
            except RetriableError as error:
                if self._runtime.is_stopping:
                    return False
                self._conditions.say("topic", str(error))
                if not self._wait(_TOPIC_RETRY):
                    return False
                continue
            self._conditions.say("topic", None)
            if made:
                self._log.info("topic created", topic=topic)
            break
        self._topics.add(topic)
        return True

    def _close(self) -> None:
        self._slot.stage = "stop"
        try:
            self._task.stop()
        except Exception as error:  # noqa: BLE001 (the end stays the end, and its reason the first)
            self._log.error("stop failed", error=str(error), exc_info=error)
        self._plugins.close()
        self._producer.close()
        self._store.close()

    def _wait(self, seconds: float) -> bool:
        """Wait while the loop is wanted; False when it is not."""
        runtime = self._runtime
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not runtime.is_stopping:
            self._slot.stage = "wait"
            runtime.wait(left)
            if runtime.is_paused:
                break
        return not runtime.is_stopping

    def _keep_on(self) -> bool:
        """Called while the producer or the cluster keeps us waiting."""
        self._runtime.beat()
        self._runtime.take_orders()
        self._conditions.say("kafka", self._producer.link.text)
        self._producer.link.check()
        return not self._runtime.is_stopping

    def _topic_admin(self) -> TopicAdmin:
        client_id = f"connector-adminclient-{self._id}"
        return TopicAdmin(admin_config(self._client, client_id), self._keep_on)

    def _client_config(self) -> Any:
        worker = self._runtime.assignment.worker
        client = producer_config(worker, self._runtime.config, f"connector-producer-{self._id}")
        limits = [self._store.batch_limit()]
        if self._creation is not None:
            limits.append(self._creation.batch_limit())
        client.limit_batch(limits)
        for key, reason in client.ignored.items():
            self._log.warning("configuration key is ignored", key=key, reason=reason)
        return client

    def _reporters(self) -> list[ErrorReporter]:
        policy = self._plugins.errors
        reporters = list(self._plugins.reporters)
        if policy.log_enable:
            reporters.append(LogReporter(self._log, self._id, policy, self._slot))
        return reporters
