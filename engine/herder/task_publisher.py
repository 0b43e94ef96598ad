"""Tells the supervisor which tasks are wanted, and tells nothing twice."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from engine.herder.connector_entry import ConnectorEntry, config_hash, supervision_of
from engine.herder.journal import ACTOR
from engine.herder.task_table import TaskTable
from engine.model.lifecycle.ending import LONGEST
from engine.model.task_id import TaskId
from engine.wire.herder_message import Desire, Drop, RestartTask
from engine.wire.sealed import seal


class TaskPublisher:
    """The desired set as the supervisor knows it.

    Args:
        send: sends to the supervisor; the descriptors are given away.
        table: is told what to expect.
    """

    def __init__(
        self,
        send: Callable[[msgspec.Struct, Sequence[int]], None],
        table: TaskTable,
        worker: Mapping[str, str],
        data_dir: str,
    ) -> None:
        self._send = send
        self._table = table
        self._worker = worker
        self._data_dir = data_dir
        self._told: dict[TaskId, Desire] = {}

    def __len__(self) -> int:
        return len(self._told)

    def __contains__(self, task: TaskId) -> bool:
        return task in self._told

    def publish(self, entry: ConnectorEntry) -> None:
        """Want the tasks that the entry has now, and no others of this connector."""
        wanted = set()
        for assignment in entry.assignments(self._worker, self._data_dir):
            task = TaskId(assignment.connector, assignment.task)
            wanted.add(task)
            desire = Desire(
                connector=task.connector,
                task=task.task,
                config_hash=config_hash(assignment),
                paused=assignment.start_paused,
                supervision=supervision_of(self._worker, assignment.connector_config),
            )
            if self._told.get(task) != desire:
                self._told[task] = desire
                self._table.expect(task)
                ordered = msgspec.structs.replace(desire, by=ACTOR.get())
                self._send(ordered, [seal(assignment, "assignment")])
        self.drop([task for task in self.of(entry.name) if task not in wanted])

    def forget(self, task: TaskId) -> None:
        """The supervisor does not know of it: it is told anew."""
        self._told.pop(task, None)

    def of(self, connector: str) -> list[TaskId]:
        """Its tasks that the supervisor was told to run."""
        return sorted(task for task in self._told if task.connector == connector)

    def longest_stop(self, entry: ConnectorEntry) -> float:
        """Seconds that the end of its tasks takes at most, however hard they are to end."""
        config = entry.stored.plan.connector_config if entry.stored.plan else {}
        return supervision_of(self._worker, config).deadlines.stop_max + LONGEST

    def drop(self, tasks: Iterable[TaskId]) -> None:
        """Let these end for good."""
        leaving = list(tasks)
        self._table.leave(leaving)
        for task in leaving:
            self._told.pop(task, None)
            self._send(Drop(task.connector, task.task, ACTOR.get()), ())

    def restart(self, task: TaskId) -> None:
        """Give the task a fresh process."""
        self._send(RestartTask(task.connector, task.task, ACTOR.get()), ())
