"""The connectors of a worker: one change at a time for each, different ones at once."""

import asyncio
import contextlib
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from engine.api.errors import AlreadyExistsError, ConnectError, NotFoundError
from engine.herder.connector_entry import STATE_OF, ConnectorEntry
from engine.herder.herder import BadRequestError
from engine.herder.journal import ACTOR, HerderJournal
from engine.herder.log_levels import LogLevels
from engine.herder.planner import PlanFailure, Planner
from engine.herder.task_publisher import TaskPublisher
from engine.herder.task_table import TaskTable
from engine.model.state import State, TargetState
from engine.model.task_id import TaskId
from engine.storage.config_store import ConfigStore, StoredConnector, StoredPlan
from engine.storage.database import StoreError
from engine.storage.status_store import StatusStore
from engine.wire.log_sequence import get_logger
from engine.wire.plan_message import OffsetChange

_RETRY_FIRST: Final = 0.25
_RETRY_LONGEST: Final = 60.0
_NOT_STOPPED: Final = (
    "Connectors must be in the STOPPED state before their offsets can be modified. This can be done"
    " for the specified connector by issuing a 'PUT' request to the '/connectors/{}/stop' endpoint"
)
_MARGIN: Final = 5.0
"""Seconds beyond the longest stop until a task that does not end is not waited for any longer."""


class Parts(msgspec.Struct, frozen=True):
    """What the connectors of a worker work with."""

    configs: ConfigStore
    statuses: StatusStore
    planner: Planner
    publisher: TaskPublisher
    table: TaskTable
    journal: HerderJournal
    levels: LogLevels


class _Wish(msgspec.Struct, frozen=True):
    """What somebody wants of a connector; ``initial_state`` counts for a new one."""

    config: Mapping[str, str | None]
    initial_state: TargetState | None = None
    origin: str | None = None


class WorkerConnectors:
    """Every method that changes a connector holds its lock; what it stored, it has published.

    Attributes:
        levels: of logging, of the worker and of its connectors' tasks.
        journal: of what people do.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.levels = parts.levels
        self.journal = parts.journal
        self._entries: dict[str, ConnectorEntry] = {}
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    def __iter__(self) -> Iterator[ConnectorEntry]:
        return iter([self._entries[name] for name in sorted(self._entries)])

    def get(self, name: str) -> ConnectorEntry | None:
        """A connector, if there is one of that name."""
        return self._entries.get(name)

    def entry(self, name: str, unknown: str = "Connector {} not found") -> ConnectorEntry:
        """A connector.

        Raises:
            NotFoundError: with the text ``unknown``.
        """
        try:
            return self._entries[name]
        except KeyError:
            raise NotFoundError(unknown.format(name)) from None

    def lock(self, name: str) -> asyncio.Lock:
        """Held by whoever changes the connector of that name, also one that is yet to be made."""
        return self._locks.setdefault(name, asyncio.Lock())

    def adopt(self, stored: StoredConnector, state: State, trace: str | None) -> None:
        """Take a connector over from the store and publish its tasks; nothing is planned."""
        entry = ConnectorEntry(stored, state, trace)
        self._entries[stored.name] = entry
        self._parts.publisher.publish(entry)

    def tell_again(self, task: TaskId) -> None:
        """The supervisor had no room for this task when it was told."""
        entry = self._entries.get(task.connector)
        if entry is not None and task in self._parts.publisher:
            self._parts.publisher.forget(task)
            self._parts.publisher.publish(entry)

    async def put(
        self,
        name: str,
        config: Mapping[str, str | None],
        *,
        initial_state: TargetState | None = None,
        allow_replace: bool = True,
        origin: str | None = None,
    ) -> bool:
        """Create or change a connector; True when it was created. See the herder's protocol.

        Args:
            origin: ``file`` or ``rest``; None leaves it as it is.
        """
        wish = _Wish(config, initial_state, origin)
        async with self.lock(name):
            return await self._put(name, wish, allow_replace=allow_replace)

    async def patch(self, name: str, patch: Mapping[str, str | None]) -> None:
        """Change some keys of a connector's configuration; None removes one."""
        async with self.lock(name):
            merged = {**self.entry(name).stored.config, **patch}
            left = {key: value for key, value in merged.items() if value is not None}
            await self._put(name, _Wish(left), allow_replace=True)

    async def _put(self, name: str, wish: "_Wish", *, allow_replace: bool) -> bool:
        present = self._entries.get(name)
        target = wish.initial_state or TargetState.STARTED
        if present is not None:
            target = present.stored.target_state
        wants_tasks = target is TargetState.STARTED or bool(present and present.task_configs)
        may_happen = present is None or allow_replace
        outcome = await self._parts.planner.plan(
            name, wish.config, with_tasks=wants_tasks and may_happen
        )
        if not may_happen:
            raise AlreadyExistsError(f"Connector {name} already exists")
        self._commit(name, wish, target, outcome)
        if isinstance(outcome, PlanFailure) and outcome.error is not None:
            raise outcome.error
        return present is None

    def _commit(
        self,
        name: str,
        wish: "_Wish",
        target: TargetState,
        outcome: StoredPlan | PlanFailure,
    ) -> None:
        """From here on nothing waits: stored and published together."""
        present = self._entries.get(name)
        wanted = StoredConnector(
            name=name,
            config={key: value for key, value in wish.config.items() if value is not None},
            target_state=target,
            origin=wish.origin or (present.stored.origin if present else "rest"),
            plan=_plan_after(present, outcome),
        )
        stored = self._parts.configs.put(wanted)
        self._parts.journal.configured(present.stored if present else None, stored)
        entry = present or ConnectorEntry(stored, STATE_OF[target])
        entry.stored = stored
        self._entries[name] = entry
        self._settle(entry, outcome)

    def _settle(self, entry: ConnectorEntry, outcome: StoredPlan | PlanFailure | None) -> None:
        """What a connector is after it was planned, or needed no plan."""
        if isinstance(outcome, PlanFailure):
            entry.state, entry.trace = State.FAILED, outcome.trace
            why = outcome.trace.partition("\n")[0]
            self._parts.journal.record("connector_failed", connector=entry.name, why=why)
            get_logger(__name__).error(
                "connector failed", connector=entry.name, exception=outcome.trace
            )
            if outcome.is_retriable and entry.retry is None:
                entry.retry = asyncio.get_running_loop().create_task(self._retry(entry))
        else:
            entry.state, entry.trace = STATE_OF[entry.stored.target_state], None
        if not (isinstance(outcome, PlanFailure) and outcome.is_retriable):
            _end_retry(entry)
        self._parts.publisher.publish(entry)
        self._remember_state(entry)

    def _remember_state(self, entry: ConnectorEntry) -> None:
        try:
            self._parts.statuses.put_connector_state(entry.name, entry.state, entry.trace)
        except StoreError as error:  # what is wanted is stored; a state is found out again
            get_logger(__name__).error("status not stored", connector=entry.name, error=str(error))

    async def replan(self, name: str) -> ConnectError | None:
        """Plan a connector's present configuration again; why it failed, None if it did not."""
        async with self.lock(name):
            entry = self._entries.get(name)
            return await self._replan(entry) if entry else None

    async def _replan(self, entry: ConnectorEntry) -> ConnectError | None:
        is_started = entry.stored.target_state is TargetState.STARTED
        with_tasks = is_started or bool(entry.task_configs)
        outcome = None
        try:
            if with_tasks or entry.stored.plan is None:
                outcome = await self._outcome(entry, with_tasks=with_tasks)
        finally:
            entry.is_restarting = False
        if outcome is not None:
            plan = _plan_after(entry, outcome)
            if plan != entry.stored.plan:
                self._parts.configs.put_plan(entry.name, plan)
                entry.stored = replace(entry.stored, plan=plan)
        self._settle(entry, outcome)
        if isinstance(outcome, PlanFailure):
            return outcome.error or ConnectError(outcome.trace.partition("\n")[0])
        return None

    async def _outcome(
        self, entry: ConnectorEntry, *, with_tasks: bool
    ) -> StoredPlan | PlanFailure:
        """The plan of a configuration that is stored already."""
        config = entry.stored.config
        try:
            return await self._parts.planner.plan(entry.name, config, with_tasks=with_tasks)
        except ConnectError as error:
            plan = entry.stored.plan or StoredPlan("unknown", None, "")
            trace = f"{type(error).__name__}: {error}"
            return PlanFailure(plan, error, trace, not isinstance(error, BadRequestError))

    async def _retry(self, entry: ConnectorEntry) -> None:
        ACTOR.set("herder")
        delay = _RETRY_FIRST
        while entry.retry is asyncio.current_task():
            await asyncio.sleep(delay)
            async with self.lock(entry.name):
                if self._entries.get(entry.name) is entry and entry.retry is not None:
                    await self._try_again(entry)
            delay = min(2 * delay, _RETRY_LONGEST)

    async def _try_again(self, entry: ConnectorEntry) -> None:
        try:
            await self._replan(entry)
        except StoreError as error:  # the disk may have room again next time
            get_logger(__name__).error("plan not stored", connector=entry.name, error=str(error))

    async def transition_to(
        self, name: str, target: TargetState, unknown: str = "Unknown connector {}"
    ) -> None:
        """Change what is wanted of a connector; STOPPED returns when no task is left."""
        async with self.lock(name):
            entry = self.entry(name, unknown)
            self._parts.configs.put_target_state(name, target)
            self._parts.journal.record(
                "target_state_changed",
                connector=name,
                **{"from": entry.stored.target_state, "to": target},
            )
            plan = entry.stored.plan
            if target is TargetState.STOPPED and plan is not None:
                plan = StoredPlan(plan.type, plan.version, plan.class_name, plan.connector_config)
            entry.stored = replace(entry.stored, target_state=target, plan=plan)
            if target is TargetState.STOPPED:
                self._settle(entry, None)
                await self._wait_gone(entry)
            elif target is TargetState.STARTED and not entry.task_configs:
                await self._replan(entry)
            else:
                if entry.state is not State.FAILED:
                    entry.state = STATE_OF[target]
                self._parts.publisher.publish(entry)
                self._remember_state(entry)

    async def change_offsets(self, name: str, changes: Sequence[OffsetChange] | None) -> bool:
        """Set or forget committed offsets; the connector cannot be resumed meanwhile."""
        async with self.lock(name):
            entry = self.entry(name)
            if entry.stored.target_state is not TargetState.STOPPED or entry.task_configs:
                raise BadRequestError(_NOT_STOPPED.format(name))
            if self._parts.table.has_any(name):
                raise BadRequestError(f"{_NOT_STOPPED.format(name)}; its tasks have not ended yet")
            is_told = await self._parts.planner.change_offsets(entry.stored.config, changes)
            event = "offsets_reset" if changes is None else "offsets_altered"
            count = None if changes is None else len(changes)
            self._parts.journal.record(event, connector=name, partitions=count)
            return is_told

    async def delete(self, name: str) -> None:
        """Forget a connector; returns when none of its tasks is left."""
        async with self.lock(name):
            entry = self.entry(name)
            self._parts.configs.delete([name])
            self._parts.journal.record("connector_deleted", connector=name)
            self._parts.levels.forget(name)
            del self._entries[name]
            _end_retry(entry)
            self._parts.publisher.drop(self._parts.publisher.of(name))
            await self._wait_gone(entry)
            with contextlib.suppress(StoreError):
                self._parts.statuses.forget(name)

    async def _wait_gone(self, entry: ConnectorEntry) -> None:
        patience = self._parts.publisher.longest_stop(entry) + _MARGIN
        try:
            async with asyncio.timeout(patience):
                await self._parts.table.wait_gone(entry.name)
        except TimeoutError:
            get_logger(__name__).warning("tasks do not end", connector=entry.name)

    def restart_tasks(self, name: str, numbers: tuple[int, ...]) -> None:
        """Give these tasks fresh processes, if the connector still has them."""
        entry = self._entries.get(name)
        for task in entry.task_ids if entry else ():
            if task.task in numbers:
                self._parts.publisher.restart(task)


def _plan_after(present: ConnectorEntry | None, outcome: StoredPlan | PlanFailure) -> StoredPlan:
    """The plan to keep: tasks that run go on as they were planned while planning fails."""
    if isinstance(outcome, StoredPlan):
        return outcome
    plan = present.stored.plan if present else None
    return plan if plan is not None and plan.task_configs else outcome.plan


def _end_retry(entry: ConnectorEntry) -> None:
    """Nothing is to be tried again; a retry that calls this ends by itself."""
    retry, entry.retry = entry.retry, None
    if retry is not None and retry is not asyncio.current_task():
        retry.cancel()
