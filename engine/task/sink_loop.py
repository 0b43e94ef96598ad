"""The loop of a sink task: consume, convert, transform, put, and now and then commit.

An offset is committed only when ``pre_commit`` said that everything before it is durable. What was
fetched but not yet put is never in the offsets: they are read just before each fetch.
"""

import time
from collections.abc import Mapping
from typing import Any, Final

from engine.api.config import parse
from engine.api.errors import RetriableError
from engine.api.record import SinkBatch, TopicPartition
from engine.api.task import SinkTask
from engine.kafka.client_config import ClientConfig, consumer_config, member_name
from engine.kafka.consumer import Fetch, Opening, TaskConsumer, subscription
from engine.model.loop_config import LoopConfig
from engine.model.task_id import TaskId
from engine.task.conditions import Conditions
from engine.task.log_reporter import LogReporter
from engine.task.offset_commit import OffsetCommit
from engine.task.runtime import TaskRuntime
from engine.task.sink_context import SinkContext
from engine.task.sink_conversion import SinkConversion, batch_of
from engine.task.task_plugins import TaskPlugins
from engine.task.tolerance import ErrorReporter, RetryWithToleranceOperator
from engine.wire.log_sequence import get_logger

_LONGEST_POLL: Final = 0.5
_FIRST_RETRY: Final = 0.3
_LONGEST_RETRY: Final = 10.0
_LAG_INTERVAL: Final = 1.0
_COMMITTED_PATIENCE: Final = 1.0


class WorkerSinkTask:
    """Runs a sink task (upstream: ``WorkerSinkTask``)."""

    def __init__(self, runtime: TaskRuntime, task: SinkTask, plugins: TaskPlugins) -> None:
        assignment = runtime.assignment
        self._runtime = runtime
        self._slot = runtime.slot
        self._task = task
        self._plugins = plugins
        self._id = TaskId(assignment.connector, assignment.task)
        self._config = parse(LoopConfig, assignment.worker)
        self._log = get_logger("engine.task.sink")
        self._conditions = Conditions(runtime)
        self._topics = subscription(
            runtime.config.get("topics", ""), runtime.config.get("topics.regex", "")
        )
        self._operator = RetryWithToleranceOperator(
            plugins.errors, runtime.slot, self._wait, self._reporters()
        )
        self._context = SinkContext(runtime, self._conditions, self, self._operator)
        self._conversion = SinkConversion(plugins, self._operator, runtime.slot, self._only_topic())
        self._client = self._client_config()
        self._held: SinkBatch | None = None
        self._retry_at = 0.0
        self._retries = 0
        self._settled: dict[TopicPartition, int] = {}
        self._is_settled = True
        self._is_paused = False
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
            self._consumer, self._task, self._slot, self._log, self._config.offset_flush_timeout
        )
        self._slot.stage = "start"
        self._task.initialize(self._context)
        try:
            if self._is_started():
                self._loop_and_leave()
        finally:
            self._close()

    # ---- what the consumer tells ------------------------------------------------------------

    def on_assigned(self, partitions: frozenset[TopicPartition]) -> Opening:
        """Partitions came: the task may choose where to begin."""
        self._slot.add("rebalances", 1)
        self._asks_committed = True
        self._next_lag = 0.0
        self._task.open(partitions)
        rewinds = self._context.rewinds
        starts = {each: rewinds.pop(each) for each in partitions if each in rewinds}
        holds_all = self._is_paused or self._held is not None
        return Opening(starts, partitions if holds_all else partitions & self._context.held)

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
        if not self._is_paused and self._held is None:
            self._consumer.resume(partitions - self._context.held)

    # ---- the loop ---------------------------------------------------------------------------

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
            self._consumer.subscribe(self._topics)
            runtime.paused_changed(paused=False)
        else:
            self._task.start(runtime.task_config)
            self._consumer.subscribe(self._topics)
            runtime.ready()
        return True

    def _wait_while_paused(self) -> None:
        while self._runtime.is_paused and not self._runtime.is_stopping:
            self._runtime.wait(1.0)

    def _loop_and_leave(self) -> None:
        """The loop and the last commit, which a failure does not prevent."""
        try:
            self._loop()
        except BaseException:
            try:
                self._leave()
            except Exception as error:  # noqa: BLE001 (the first failure is the one to tell)
                self._log.error("the end after a failure failed", error=str(error))
            raise
        self._leave()

    def _loop(self) -> None:
        runtime, config = self._runtime, self._config
        next_commit = time.monotonic() + config.offset_flush_interval
        while True:
            runtime.beat()
            runtime.take_orders()
            if runtime.is_stopping:
                return
            if runtime.is_paused is not self._is_paused:
                self._change_paused()
            now = time.monotonic()
            if now >= next_commit or self._context.wants_commit:
                next_commit = now + config.offset_flush_interval
                self._context.wants_commit = False
                self._commit_offsets()
            self._turn(min(next_commit - now, _LONGEST_POLL))
            self._observe()

    def _turn(self, patience: float) -> None:
        """Fetch and put once."""
        if self._context.rewinds:
            self._rewind()
        if self._is_settled:
            self._settled = self._consumer.positions()
        self._slot.stage = "paused" if self._is_paused else "consume"
        was_settled, self._is_settled = self._is_settled, False
        if self._held is not None:
            patience = min(patience, max(0.0, self._retry_at - time.monotonic()))
        fetch = self._consumer.fetch(patience)
        if self._held is not None:
            self._put_again(fetch)
        elif len(fetch):
            self._take(fetch)
        else:
            self._is_settled = was_settled
            if not self._is_paused:
                self._put(batch_of(()))

    def _take(self, fetch: Fetch) -> None:
        slot = self._slot
        slot.stage = "convert"
        slot.add("records_in", len(fetch))
        slot.add("batches", 1)
        slot.raise_to("batch_records_max", len(fetch))
        self._put(self._conversion.convert(fetch))

    def _put(self, batch: SinkBatch) -> None:
        """Give the task a batch; one that it cannot take now is held."""
        slot = self._slot
        slot.stage = "put"
        began = time.monotonic_ns()
        try:
            self._task.put(batch)
        except RetriableError as error:
            slot.add("record_failures", 1)
            self._hold(batch, error)
            return
        took = time.monotonic_ns() - began
        self._is_settled = True
        if len(batch):
            slot.add("records_out", len(batch))
            slot.add("batch_ns", took)
            slot.raise_to("batch_ns_max", took)
            slot.add("bytes_out", self._conversion.kept_bytes)
            self._runtime.progressed()
            if not slot["first_ack_ns"]:
                slot["first_ack_ns"] = time.monotonic_ns()

    def _hold(self, batch: SinkBatch, error: RetriableError) -> None:
        """Keep a batch for later, staying in the group without fetching more."""
        if self._held is None:
            self._consumer.pause(self._consumer.assignment())
            self._retries = 0
            self._log.warning("put failed and is tried again", error=str(error))
        self._held = batch
        wait = self._context.retry_in or error.retry_after
        self._context.retry_in = None
        self._retry_at = time.monotonic() + (
            min(_FIRST_RETRY * 2 ** min(self._retries, 16), _LONGEST_RETRY)
            if wait is None
            else wait
        )
        self._retries += 1
        self._conditions.say("put", f"put failed and is tried again: {error}")

    def _put_again(self, stray: Fetch) -> None:
        """Put the held batch when it is time; what was fetched beside it is fetched later."""
        if len(stray):
            self._consumer.put_back(stray)
        if time.monotonic() < self._retry_at or self._held is None:
            return
        self._slot.add("retries", 1)
        self._put(self._held)
        if self._is_settled:
            self._release()

    def _release(self) -> None:
        self._held = None
        self._conditions.say("put", None)
        if not self._is_paused:
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
                self._log.debug("seek put off", partition=str(partition), error=str(error))
                continue
            del self._context.rewinds[partition]
            self._settled.pop(partition, None)

    def _commit_offsets(self) -> None:
        if self._is_settled:
            self._settled = self._consumer.positions()
        if self._commit.start(self._offsets_of(self._consumer.assignment())):
            return
        self._consumer.rewind()
        self._settled.clear()
        self._is_settled = True
        self._held = None
        self._conditions.say("put", None)
        if self._is_paused:
            self._consumer.pause(self._consumer.assignment())
        elif self._context.held:
            self._consumer.pause(self._context.held)

    def _change_paused(self) -> None:
        """Obey the operator. A paused task stays in its group."""
        self._is_paused = self._runtime.is_paused
        if self._is_paused:
            self._consumer.pause(self._consumer.assignment())
            self._context.wants_commit = True
        elif self._held is None:
            self._consumer.resume(self._consumer.assignment() - self._context.held)
        self._runtime.paused_changed(paused=self._is_paused)

    def _observe(self) -> None:
        """Hear of commits and of the broker; once a second say how far behind we are."""
        self._commit.observe()
        self._conditions.say("kafka", self._consumer.link.text or self._consumer.missing)
        now = time.monotonic()
        if now < self._next_lag:
            return
        self._next_lag = now + _LAG_INTERVAL
        self._slot["partitions"] = len(self._consumer.assignment())
        if self._asks_committed and not self._consumer.link.is_down:
            committed = self._consumer.committed_offsets(_COMMITTED_PATIENCE)
            self._asks_committed = committed is None
            self._commit.known.update(committed or {})
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

    def _close(self) -> None:
        self._slot.stage = "stop"
        try:
            self._task.stop()
        except Exception as error:  # noqa: BLE001 (the end stays the end, and its reason the first)
            self._log.error("stop failed", error=str(error), exc_info=error)
        self._plugins.close()
        self._consumer.close(final=self._runtime.is_final)

    def _offsets_of(self, partitions: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {each: o for each, o in self._settled.items() if each in partitions}

    def _forget(self, partitions: frozenset[TopicPartition]) -> None:
        self._task.close(partitions)
        self._context.held -= partitions
        for each in partitions:
            self._settled.pop(each, None)
            self._commit.known.pop(each, None)
            self._context.rewinds.pop(each, None)
        if self._held is not None:
            self._held = batch_of(
                [
                    r
                    for r in self._held.records()
                    if TopicPartition(r.topic, r.partition) not in partitions
                ]
            )

    def _wait(self, seconds: float) -> bool:
        """Wait for another attempt at a record; False when the task is to end."""
        runtime = self._runtime
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not runtime.is_stopping:
            runtime.wait(left)
        return not runtime.is_stopping

    def _only_topic(self) -> str | None:
        one = self._topics[0] if len(self._topics) == 1 else None
        return None if one is None or one.startswith("^") else one

    def _client_config(self) -> ClientConfig:
        client = consumer_config(
            self._runtime.assignment.worker,
            self._runtime.config,
            f"connector-consumer-{self._id}",
            member_name(str(self._id), self._topics),
        )
        for key, reason in client.ignored.items():
            self._log.warning("configuration key is ignored", key=key, reason=reason)
        return client

    def _reporters(self) -> list[ErrorReporter]:
        policy = self._plugins.errors
        reporters: list[Any] = list(self._plugins.reporters)
        if policy.log_enable:
            reporters.append(LogReporter(self._log, self._id, policy, self._slot))
        return reporters
