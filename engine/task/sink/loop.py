"""The loop of a sink task: consume, convert, transform, put, and now and then commit.

An offset is committed only when ``pre_commit`` said that everything before it is durable. What was
fetched but not yet put is never in the offsets: they are read just before each fetch.
"""

import time
from collections.abc import Mapping
from functools import partial
from typing import Final

from engine.api.errors import DataError, RetriableError
from engine.api.record import SinkBatch, TopicPartition
from engine.api.task import SinkTask
from engine.kafka.client_config import ClientConfig, consumer_config, member_name
from engine.kafka.consumer import Opening, TaskConsumer, subscription
from engine.kafka.fetch import Fetch, raw_record
from engine.model.error_policy import Stage
from engine.model.letters.dead_letter import RawRecord
from engine.model.loop_config import loop_config
from engine.task.record_errors import RecordErrors
from engine.task.record_quarantine import RecordQuarantine, consumed_id
from engine.task.runtime import TaskRuntime
from engine.task.sink.batch import batch_of
from engine.task.sink.context import SinkContext
from engine.task.sink.conversion import SinkConversion
from engine.task.sink.offset_commit import OffsetCommit
from engine.task.sink.put import SinkPut
from engine.task.task_life import TaskLife
from engine.task.task_plugins import TaskPlugins
from engine.wire.log_sequence import get_logger

_LONGEST_POLL: Final = 0.5
_LAG_INTERVAL: Final = 1.0
_COMMITTED_PATIENCE: Final = 1.0
_LOG: Final = get_logger("engine.task.sink")
_LONGEST_SILENCE: Final = 20.0


class WorkerSinkTask:
    """Runs a sink task (upstream: ``WorkerSinkTask``)."""

    def __init__(self, runtime: TaskRuntime, task: SinkTask, plugins: TaskPlugins) -> None:
        self._runtime = runtime
        self._slot = runtime.slot
        self._task = task
        self._config = loop_config(runtime.assignment.worker, runtime.config)
        self._life = TaskLife(runtime, task, plugins, _LOG)
        self._topics = subscription(
            runtime.config.get("topics", ""), runtime.config.get("topics.regex", "")
        )
        self._errors = RecordErrors(self._life, plugins, type(task), self._wait)
        self._quarantine = self._errors.quarantine
        self._operator = operator = self._errors.operator
        self._context = SinkContext(runtime, self._life.conditions, self, operator, type(task))
        self._conversion = SinkConversion(plugins, operator, runtime.slot, self._only_topic())
        self._put = SinkPut(self._life, task, operator, self._context)
        self._client = self._client_config()
        self._settled: dict[TopicPartition, int] = {}
        self._is_settled = True
        self._is_paused = False
        self._is_waiting = False
        self._fetched_at = 0.0
        self._taken = 0
        self._next_lag = 0.0
        self._asks_committed = False
        self._consumer: TaskConsumer
        self._commit: OffsetCommit

    def run(self) -> None:
        """Run until the supervisor says stop.

        Raises:
            ConfigError: the configuration cannot work.
            ToleranceExceededError: a record failed and that is not allowed for.
            AuthenticationError: Kafka refuses this client.
            RetriableError: a new process may do better.
        """
        self._consumer = TaskConsumer(self._client, self)
        self._commit = OffsetCommit(
            self._life, self._consumer, self._task, self._errors, self._config.offset_flush_timeout
        )
        self._errors.begin()
        self._slot.enter("start", time.monotonic_ns())
        self._task.initialize(self._context)
        try:
            is_started = self._life.start(lambda: self._consumer.subscribe(self._topics))
            if is_started and self._errors.open():
                self._life.run(self._loop, self._leave)
        finally:
            leave = partial(self._consumer.close, final=self._runtime.is_final)
            self._life.end(leave, self._errors.close)

    # ---- what the consumer tells ------------------------------------------------------------

    def on_assigned(self, partitions: frozenset[TopicPartition]) -> Opening:
        """Partitions came: the task may choose where to begin."""
        self._slot.add("rebalances", 1)
        self._asks_committed = True
        self._next_lag = 0.0
        self._task.open(partitions)
        rewinds = self._context.rewinds
        starts = {each: rewinds.pop(each) for each in partitions if each in rewinds}
        return Opening(starts, partitions if self._holds_all else partitions & self._context.held)

    def on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
        """Partitions go elsewhere: commit what is durable, and forget them."""
        self._slot.add("rebalances", 1)
        self._runtime.busy(2 * self._config.offset_flush_timeout)
        self._commit.revoke(self._offsets_of(partitions))
        self._forget(partitions)

    def on_lost(self, partitions: frozenset[TopicPartition]) -> None:
        """Partitions are somebody else's already: there is nothing to commit."""
        self._slot.add("rebalances", 1)
        self._forget(partitions)

    # ---- what the task's context asks for ---------------------------------------------------

    def assignment(self) -> frozenset[TopicPartition]:
        """What is assigned now."""
        return self._consumer.assignment()

    def hold(self, partitions: frozenset[TopicPartition]) -> None:
        """Fetch nothing from these."""
        self._consumer.pause(partitions)

    def let_go(self, partitions: frozenset[TopicPartition]) -> None:
        """Fetch from these, unless the loop itself holds everything."""
        if not self._holds_all:
            self._consumer.resume(partitions - self._context.held)

    @property
    def _holds_all(self) -> bool:
        """Whether the loop itself wants nothing to be fetched."""
        return self._is_paused or self._is_waiting or self._put.is_busy

    # ---- the loop ---------------------------------------------------------------------------

    def _loop(self) -> None:
        runtime, config = self._runtime, self._config
        next_commit = time.monotonic() + config.offset_flush_interval
        while True:
            runtime.beat()
            runtime.take_orders()
            if runtime.is_stopping or (runtime.is_recycling and self._may_end()):
                return
            if runtime.is_paused is not self._is_paused:
                self._change_paused()
            now = time.monotonic()
            if now >= next_commit or self._wants_commit:
                next_commit = now + config.offset_flush_interval
                self._context.wants_commit = False
                self._commit_offsets()
            self._turn(min(next_commit - now, _LONGEST_POLL))
            self._observe()

    def _may_end(self) -> bool:
        """Whether all that was fetched is put, and can be committed now."""
        return self._is_settled and not self._put.is_busy and not self._consumer.link.is_down

    @property
    def _wants_commit(self) -> bool:
        """Whether the task or the quarantine asks for a commit before it is due."""
        asks = self._quarantine is not None and self._quarantine.wants_commit
        return self._context.wants_commit or (asks and not self._commit.is_under_way)

    def _turn(self, patience: float) -> None:
        """Fetch and put once."""
        if self._context.rewinds:
            self._rewind()
        if self._quarantine is not None:
            self._consumer.limit(self._quarantine.most)
        if self._is_settled:
            self._settled = self._consumer.positions()
        self._slot.stage = "paused" if self._is_paused else "consume"
        was_settled, self._is_settled = self._is_settled, False
        if self._put.is_busy:
            patience = min(patience, max(0.0, self._put.next_at - time.monotonic()))
        fetch = self._consumer.fetch(patience)
        self._fetched_at = time.monotonic()
        self._pass_damage()
        if self._put.is_busy:
            self._put_on(fetch)
        elif len(fetch):
            self._take(fetch)
        else:
            self._is_settled = was_settled
            self._rest()

    def _pass_damage(self) -> None:
        """Judge records that the broker cannot give us whole any more."""
        for topic, partition, first, last, reason in self._consumer.take_damage():
            text = f"records {first} to {last} of {topic}-{partition} cannot be read: {reason}"
            record = RawRecord(topic, partition=partition, offset=first)
            self._operator.fail(Stage.KAFKA_CONSUME, TaskConsumer, DataError(text), record)

    def _rest(self) -> None:
        """Nothing came: the task has its turn all the same."""
        if self._quarantine is not None and not self._slot["lag"]:
            self._quarantine.caught_up()
        if not self._is_paused:
            self._give(batch_of(()), 0)

    def _take(self, fetch: Fetch) -> None:
        slot = self._slot
        slot.enter("convert", time.monotonic_ns())
        slot.take(fetch.span())
        slot.add("records_in", len(fetch))
        slot.add("batches", 1)
        slot.raise_to("batch_records_max", len(fetch))
        self._operator.saw(len(fetch))
        self._taken = len(fetch)
        if self._quarantine is not None and not self._is_admitted(self._quarantine, fetch):
            return
        batch = self._conversion.convert(fetch)
        self._give(batch, self._conversion.kept_bytes)

    def _give(self, batch: SinkBatch, size: int) -> None:
        """Give the task a batch; while something of it is left, nothing else is fetched."""
        self._put.put(batch, size)
        if self._put.is_busy:
            self._consumer.pause(self._consumer.assignment())
            self._wait_for_next_put()
        else:
            self._has_put()

    def _wait_for_next_put(self) -> None:
        """What ends this process meanwhile is nobody's fault who waits."""
        if self._quarantine is not None:
            self._quarantine.idle()

    def _is_admitted(self, quarantine: RecordQuarantine, fetch: Fetch) -> bool:
        """Whether the records may be taken; a record that ends processes is given up unseen."""
        if not quarantine.takes_one:
            return quarantine.admits(len(fetch), 0, None)
        record = raw_record(fetch.messages[0])
        if quarantine.admits(1, consumed_id(record), record):
            return True
        self._has_put()
        return False

    def _has_put(self) -> None:
        """Nothing is left of the last batch."""
        self._is_settled = True
        if self._quarantine is not None and self._taken:
            self._quarantine.passed(self._taken)
        self._taken = 0

    def _put_on(self, stray: Fetch) -> None:
        """Go on with what is left of a batch; what was fetched beside it is fetched later."""
        if len(stray):
            self._consumer.put_back(stray)
        if self._put.is_busy:  # still, after what a rebalance took
            if self._quarantine is not None:
                self._quarantine.works()
            self._put.go_on()
            self._wait_for_next_put()
        if not self._put.is_busy:
            self._has_put()
            self._resume()

    def _resume(self) -> None:
        if not self._holds_all:
            self._consumer.resume(self._consumer.assignment() - self._context.held)

    def _rewind(self) -> None:
        """Go where the task asked to; what cannot be done yet is tried in the next turn."""
        assigned = self._consumer.assignment()
        for partition, offset in list(self._context.rewinds.items()):
            if partition not in assigned:
                continue
            try:
                self._consumer.seek({partition: offset})
            except RetriableError as error:
                self._life.log.debug("seek put off", partition=str(partition), error=str(error))
                continue
            del self._context.rewinds[partition]
            self._settled.pop(partition, None)

    def _commit_offsets(self) -> None:
        if self._is_settled:
            self._settled = self._consumer.positions()
        if self._is_durable(self._offsets_of(self._consumer.assignment())):
            return
        self._taken = 0
        self._consumer.rewind()
        self._settled.clear()
        self._is_settled = True
        self._put.drop()
        if self._is_paused:
            self._consumer.pause(self._consumer.assignment())
        elif self._context.held:
            self._consumer.pause(self._context.held)

    def _is_durable(self, offsets: Mapping[TopicPartition, int]) -> bool:
        """Begin a commit of what the task makes durable; False when it cannot."""
        quarantine = None if self._commit.is_under_way else self._quarantine
        if quarantine is None:
            return self._commit.start(offsets)
        quarantine.flushes()
        is_durable = self._commit.start(offsets)
        quarantine.flushed(is_durable=is_durable)
        return is_durable

    def _change_paused(self) -> None:
        """Obey the operator. A paused task stays in its group."""
        self._is_paused = self._runtime.is_paused
        if self._is_paused:
            self._consumer.pause(self._consumer.assignment())
            self._context.wants_commit = True
        self._resume()
        self._runtime.paused_changed(paused=self._is_paused)

    def _observe(self) -> None:
        """Hear of commits and of the broker; once a second say how far behind we are."""
        self._commit.observe()
        self._life.conditions.say("kafka", self._consumer.link.text or self._consumer.missing)
        now = time.monotonic()
        if now < self._next_lag:
            return
        self._next_lag = now + _LAG_INTERVAL
        self._slot["partitions"] = len(self._consumer.assignment())
        if self._asks_committed and not self._consumer.link.is_down:
            committed = self._consumer.committed_offsets(_COMMITTED_PATIENCE)
            self._asks_committed = committed is None
            self._commit.learn(committed or {})
        lag = self._consumer.lag({**self._commit.known, **self._settled})
        self._slot["lag"] = -1 if lag is None else lag

    # ---- the end ----------------------------------------------------------------------------

    def _leave(self) -> None:
        """The last commit, which a failure does not prevent; then the partitions are closed."""
        consumer, partitions = self._consumer, self._consumer.assignment()
        consumer.pause(partitions)
        if self._is_settled:
            self._settled = consumer.positions()
        offsets = self._offsets_of(partitions)
        self._commit.finish(offsets, self._config.final_flush, self._runtime.beat)
        if partitions:
            self._task.close(partitions)

    def _offsets_of(self, partitions: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {each: o for each, o in self._settled.items() if each in partitions}

    def _forget(self, partitions: frozenset[TopicPartition]) -> None:
        self._task.close(partitions)
        self._context.held -= partitions
        for each in partitions:
            self._settled.pop(each, None)
            self._commit.known.pop(each, None)
            self._context.rewinds.pop(each, None)
        self._put.forget(partitions)

    def _wait(self, seconds: float) -> bool:
        """Wait for another attempt at a record; False when the task is to end."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if time.monotonic() - self._fetched_at > _LONGEST_SILENCE:
                self._stay_in_group()
            if not self._life.wait(min(left, _LONGEST_SILENCE)):
                return False
        return True

    def _stay_in_group(self) -> None:
        """Show the group a sign of life in the middle of a batch, without fetching more."""
        self._is_waiting = True
        self._consumer.pause(self._consumer.assignment())
        stray = self._consumer.fetch(0)
        if len(stray):
            self._consumer.put_back(stray)
        self._fetched_at = time.monotonic()
        self._is_waiting = False
        self._resume()

    def _only_topic(self) -> str | None:
        one = self._topics[0] if len(self._topics) == 1 else None
        return None if one is None or one.startswith("^") else one

    def _client_config(self) -> ClientConfig:
        client = consumer_config(
            self._runtime.assignment.worker,
            self._runtime.config,
            f"connector-consumer-{self._life.id}",
            member_name(str(self._life.id), self._topics),
        )
        self._life.warn_of_ignored(client)
        return client
