"""How a standalone herder begins: what was stored, what runs, and what the command line names."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from engine.api.errors import ConnectError
from engine.herder.connector_entry import STATE_OF
from engine.herder.herder import BadRequestError
from engine.herder.journal import ACTOR
from engine.herder.worker_connectors import Parts, WorkerConnectors
from engine.model.state import State, TargetState
from engine.model.task_id import TaskId
from engine.storage.config_store import StoredConnector
from engine.wire.herder_message import ConnectorFile
from engine.wire.log_sequence import get_logger

_EPOCH: Final = "epoch"


class StartRefusedError(ConnectError):
    """Connectors of the command line cannot be made; every problem is logged already.

    Attributes:
        problems: why, by connector.
    """

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(f"cannot create {', '.join(problems)}")
        self.problems = problems


class StandaloneStart:
    """The first moments of a herder.

    A new supervisor means a new start of the whole: the command line counts, and everything is
    planned again. With an old supervisor only the herder is new: what was planned stays.

    Args:
        epoch: number of the supervisor's life.
    """

    def __init__(self, connectors: WorkerConnectors, parts: Parts, epoch: int) -> None:
        self._connectors = connectors
        self._parts = parts
        self._epoch = str(epoch)
        self.is_new_engine = parts.configs.fact(_EPOCH) != self._epoch

    def take_over(self, files: Sequence[ConnectorFile], running: Collection[TaskId]) -> None:
        """Publish every task that was planned before, and end those that nobody wants."""
        if self.is_new_engine:
            self._take_files(files)
            self._parts.configs.put_fact(_EPOCH, self._epoch)
        states = self._parts.statuses.connector_states()
        for stored in self._parts.configs.connectors():
            self._connectors.adopt(stored, *self._state_of(stored, states))
        unwanted = [task for task in running if task not in self._parts.publisher]
        self._parts.publisher.drop(unwanted)
        reports = self._parts.statuses.reports()
        wanted = {t: r for t, r in reports.items() if t in self._parts.publisher}
        self._parts.table.remember(wanted)

    def _take_files(self, files: Sequence[ConnectorFile]) -> None:
        """Connectors of the command line live only while they are named there."""
        present = {stored.name: stored for stored in self._parts.configs.connectors()}
        named = {file.name for file in files}
        ACTOR.set("command line")
        gone = [s.name for s in present.values() if s.origin == "file" and s.name not in named]
        self._parts.configs.delete(gone)
        for name in gone:
            self._parts.journal.record("connector_deleted", connector=name)
        for file in files:
            config = {**file.config, "name": file.name}
            stored = present.get(file.name)
            if stored is not None and stored.config == config and stored.origin == "file":
                continue
            initial = file.initial_state or TargetState.STARTED
            target = stored.target_state if stored is not None else initial
            made = self._parts.configs.put(StoredConnector(file.name, config, target, "file"))
            self._parts.journal.configured(stored, made)
        ACTOR.set("herder")

    def _state_of(
        self, stored: StoredConnector, states: Mapping[str, tuple[State, str | None]]
    ) -> tuple[State, str | None]:
        state, trace = states.get(stored.name, (None, None))
        if state is State.FAILED and not self.is_new_engine:
            return state, trace
        return STATE_OF[stored.target_state], None

    async def plan(self, files: Sequence[ConnectorFile]) -> None:
        """Plan whatever needs it, all at once.

        Raises:
            StartRefusedError: on a new start, for connectors of the command line whose
                configuration is invalid.
        """
        wanting = [
            entry.name
            for entry in self._connectors
            if self.is_new_engine or entry.state is State.FAILED or entry.stored.plan is None
        ]
        problems = await asyncio.gather(*(self._connectors.replan(name) for name in wanting))
        named = {file.name for file in files} if self.is_new_engine else set()
        refused = {
            name: str(problem)
            for name, problem in zip(wanting, problems, strict=True)
            if name in named and isinstance(problem, BadRequestError)
        }
        if refused:
            get_logger(__name__).error("the start is refused", invalid_connectors=list(refused))
            raise StartRefusedError(refused)
