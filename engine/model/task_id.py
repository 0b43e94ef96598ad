"""The name of a task, and names of files that belong to it or to its connector."""

from typing import Final, NamedTuple
from urllib.parse import quote

_LONGEST_NAME: Final = 200


class TaskId(NamedTuple):
    """A connector's task (upstream: ``ConnectorTaskId``); its text is ``connector-0``."""

    connector: str
    task: int

    def __str__(self) -> str:
        return f"{self.connector}-{self.task}"

    @property
    def file_stem(self) -> str:
        """A file name of its own for every task, whatever the connector is called."""
        return f"{file_stem(self.connector)}-{self.task}"


def file_stem(connector: str) -> str:
    """A file name of its own for every connector; a long name is cut, and told by its digest."""
    name = quote(connector, safe="")
    if len(name) <= _LONGEST_NAME:
        return name
    import hashlib  # noqa: PLC0415 (loads OpenSSL, for names that hardly anybody gives)

    digest = hashlib.sha256(connector.encode()).hexdigest()
    return f"{name[: _LONGEST_NAME - len(digest)]}{digest}"
