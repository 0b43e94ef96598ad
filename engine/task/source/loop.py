"""The loop of a source task: poll, transform, convert, produce, and now and then commit."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from engine.api.record import SourceBatch, SourceRecord
from engine.api.task import SourceTask
from engine.kafka.client_config import ClientConfig, admin_config, producer_config
from engine.kafka.producer import TaskProducer
from engine.kafka.topic_admin import TopicAdmin
from engine.model.loop_config import loop_config
from engine.model.topic_creation import topic_creation
from engine.storage.offset_store import OffsetStore
from engine.task.record_errors import RecordErrors
from engine.task.record_quarantine import RecordQuarantine, source_id
from engine.task.runtime import TaskRuntime
from engine.task.source.commit import SourceCommit
from engine.task.source.context import SourceContext
from engine.task.source.conversion import Outgoing, SourceConversion
from engine.task.source.delivery import DeliveryJudge
from engine.task.source.poller import Poller
from engine.task.source.sent_batches import SentBatches
from engine.task.task_life import TaskLife
from engine.task.task_plugins import TaskPlugins
from engine.task.tolerance import Failed
from engine.task.topic_maker import TopicMaker
from engine.task.transformation_chain import BEAT_EVERY
from engine.wire.log_sequence import get_logger

_RECYCLE_RETRY: Final = 1.0
_LOG: Final = get_logger("engine.task.source")


class WorkerSourceTask:
    """Runs a source task (upstream: ``WorkerSourceTask``)."""

    def __init__(self, runtime: TaskRuntime, task: SourceTask, plugins: TaskPlugins) -> None:
        assignment = runtime.assignment
        self._runtime = runtime
        self._slot = runtime.slot
        self._task = task
        self._plugins = plugins
        self._config = loop_config(assignment.worker, runtime.config)
        self._life = TaskLife(runtime, task, plugins, _LOG)
        self._store = OffsetStore(assignment.data_dir, assignment.connector)
        self._creation = (
            topic_creation(runtime.config) if self._config.topic_creation_enable else None
        )
        self._wants_records = type(task).commit_record is not SourceTask.commit_record
        self._client = self._client_config()
        self._errors = RecordErrors(self._life, plugins, type(task), self._life.wait)
        self._quarantine = self._errors.quarantine
        self._operator = self._errors.operator
        self._sent_batches = SentBatches() if self._errors.keeps_letters else None
        self._conversion = SourceConversion(
            plugins, self._operator, keep_records=self._wants_records
        )
        self._topic_maker = TopicMaker(self._life, self._topic_admin)
        self._topics: set[str] = set()
        self._poller = Poller(self._life, task, self._operator)
        self._sent = 0
        self._acknowledged = 0
        self._next_commit = 0.0
        self._next_try = 0.0
        self._producer: TaskProducer
        self._judge: DeliveryJudge
        self._commit: SourceCommit

    def run(self) -> None:
        """Run until the supervisor says stop.

        Raises:
            ConfigError: the configuration cannot work.
            ToleranceExceededError: a record failed and that is not allowed for.
            AuthenticationError: Kafka refuses this client.
            RetriableError: a new process may do better.
        """
        self._producer = TaskProducer(self._client, self._keep_on, hears_all=self._wants_records)
        self._judge = DeliveryJudge(
            self._producer, self._operator, self._store, self._topic_admin, self._sent_batches
        )
        self._commit = SourceCommit(
            self._life, self._task, self._producer, self._store, self._errors, self._observe
        )
        self._errors.begin()
        self._slot.enter("start", time.monotonic_ns())
        self._task.initialize(SourceContext(self._runtime, self._life.conditions, self._store))
        try:
            if self._life.start() and self._errors.open():
                self._next_commit = time.monotonic() + self._config.offset_flush_interval
                self._life.run(self._loop, self._last_commit)
        finally:
            self._life.end(self._producer.close, self._store.close, self._errors.close)

    def _last_commit(self) -> None:
        if not self._judge.is_lossy:
            self._commit.commit(self._config.final_flush, is_last=True)

    def _loop(self) -> None:
        runtime, poll = self._runtime, self._poller.poll
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
                if self._quarantine is not None:
                    self._quarantine.caught_up()
                self._wait(self._poller.idle)
            self._observe()
            now = time.monotonic()
            if self._is_commit_due(now):
                self._commit_offsets(now)

    def _is_commit_due(self, now: float) -> bool:
        """Whether it is time, or the quarantine or the end of this process asks for a commit."""
        if self._quarantine is not None and self._quarantine.wants_commit:
            return True
        return now >= self._next_commit or (self._runtime.is_recycling and now >= self._next_try)

    def _commit_offsets(self, now: float) -> None:
        self._next_commit = now + self._config.offset_flush_interval
        is_done = self._commit.commit(self._config.offset_flush_timeout)
        if self._quarantine is not None:
            self._quarantine.flushed(is_durable=is_done)
        self._next_try = time.monotonic() + _RECYCLE_RETRY
        if is_done and self._runtime.is_recycling:
            self._runtime.is_stopping = True  # nothing is sent twice by who comes after us

    def _send_all(self, batches: Sequence[SourceBatch]) -> None:
        for batch in batches:
            if not len(batch):
                self._commit.track(batch)
            elif not self._send(batch):
                return

    def _send(self, batch: SourceBatch) -> bool:
        """Transform, convert and queue a batch; False when the task is to end meanwhile."""
        slot = self._slot
        slot.take(f"{len(batch)} records of {batch.source_partition} up to {batch.source_offset}")
        slot.add("records_in", len(batch))
        self._operator.saw(len(batch))
        if self._quarantine is not None:
            is_sent = self._send_with_care(batch, self._quarantine)
        else:
            is_sent = self._send_admitted(batch)
        if is_sent:
            self._commit.track(batch)
        return is_sent

    def _send_with_care(self, batch: SourceBatch, quarantine: RecordQuarantine) -> bool:
        """The same, one record at a time while one is suspected of ending processes."""
        if not quarantine.takes_one:
            quarantine.admits(len(batch), 0, None)
            is_sent = self._send_admitted(batch)
            quarantine.passed(len(batch))
            return is_sent
        has_own_offset = batch.source_offsets is not None
        for record in batch.records():
            if not self._life.keep_on():
                return False
            alone = source_id(record, has_own_offset=has_own_offset)
            if quarantine.admits(1, alone, record):
                [single] = SourceBatch.of([record])
                if not self._send_admitted(single):
                    return False
            elif self._wants_records:
                self._task.commit_record(record, None)
            quarantine.passed(1)
        return True

    def _send_admitted(self, batch: SourceBatch) -> bool:
        for part in self._transformed(batch):
            self._slot.enter("convert", time.monotonic_ns())
            outgoing = self._conversion.convert(part)
            if self._sent_batches is not None:
                self._sent_batches.remember(outgoing, part)
            if not self._produce(outgoing):
                return False
            self._slot.add("bytes_in", outgoing.size)
        return True

    def _transformed(self, batch: SourceBatch) -> Sequence[SourceBatch]:
        chain = self._plugins.transformations
        if not chain:
            return (batch,)
        slot = self._slot
        kept: list[SourceRecord] = []
        for number, record in enumerate(batch.records()):
            if not number % BEAT_EVERY:
                slot.enter("transform", time.monotonic_ns())
            slot.mark(-1, number)
            changed = chain.apply(record, self._operator)
            if changed is None:
                slot.add("records_filtered", 1)
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
        slot.enter("produce", time.monotonic_ns())
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
        if messages:
            self._operator.passed()
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
            if self._plugins.errors.is_tolerant:
                self._task.commit_record(record, None)

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
        self._life.conditions.say("kafka", producer.link.text)
        self._judge.judge()
        if self._sent_batches is not None:
            self._sent_batches.trim(queued)

    def _pause(self) -> None:
        """Commit what there is, say PAUSED and wait; the task itself stays as it is."""
        self._commit_offsets(time.monotonic())
        self._slot.stage = "paused"
        self._runtime.paused_changed(paused=True)
        self._life.wait_while_paused(self._observe_pause)
        if not self._runtime.is_stopping:
            self._runtime.paused_changed(paused=False)

    def _observe_pause(self) -> None:
        self._observe()
        self._commit.commit_if_drained()

    def _make_topic(self, topic: str) -> bool:
        """Make a topic by the connector's rules; False when the task is to end meanwhile."""
        rules = self._creation
        if rules is not None and not self._topic_maker.make(rules.settings(topic)):
            return False
        self._topics.add(topic)
        return True

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
        self._life.conditions.say("kafka", self._producer.link.text)
        self._producer.link.check()
        return self._life.keep_on()

    def _topic_admin(self) -> TopicAdmin:
        worker, config = self._runtime.assignment.worker, self._runtime.config
        client_id = f"connector-adminclient-{self._life.id}"
        return TopicAdmin(admin_config(self._client, worker, config, client_id), self._keep_on)

    def _client_config(self) -> ClientConfig:
        worker = self._runtime.assignment.worker
        client = producer_config(
            worker, self._runtime.config, f"connector-producer-{self._life.id}"
        )
        limits = [self._store.batch_limit()]
        if self._creation is not None:
            limits.append(self._creation.batch_limit())
        client.limit_batch(limits)
        self._life.warn_of_ignored(client)
        return client
