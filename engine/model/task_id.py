"""The name of a task."""

from typing import NamedTuple
from urllib.parse import quote


class TaskId(NamedTuple):
    """A connector's task (upstream: ``ConnectorTaskId``); its text is ``connector-0``."""

    connector: str
    task: int

    def __str__(self) -> str:
        return f"{self.connector}-{self.task}"

    @property
    def file_stem(self) -> str:
        """A file name of its own for every task, whatever the connector is called."""
        return f"{quote(self.connector, safe='')}-{self.task}"
