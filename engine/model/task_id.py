"""The name of a task."""

from typing import NamedTuple


class TaskId(NamedTuple):
    """A connector's task (upstream: ``ConnectorTaskId``); its text is ``connector-0``."""

    connector: str
    task: int

    def __str__(self) -> str:
        return f"{self.connector}-{self.task}"
