"""Looks at an engine all the time, in a thread: an answer that does not come holds up nobody."""

import queue
import threading
import time
from collections.abc import Mapping
from typing import Any, Final, Self

from engine.cli.chaos.recovery import Snapshot, TaskSeen
from engine.cli.ctl.client import CtlError, RestClient
from engine.cli.ctl.status import name_of

_PAUSE: Final = 0.1
_ANSWER_TIMEOUT: Final = 5.0


class Observer:
    """Used as a context manager.

    Attributes:
        last: the newest snapshot; None before the first.
    """

    def __init__(self, url: str) -> None:
        self.last: Snapshot | None = None
        self._client = RestClient(url, _ANSWER_TIMEOUT)
        self._found: queue.SimpleQueue[Snapshot] = queue.SimpleQueue()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(_ANSWER_TIMEOUT)

    def news(self) -> list[Snapshot]:
        """What was seen since the last call, in order."""
        found = []
        while not self._found.empty():
            found.append(self._found.get())
        if found:
            self.last = found[-1]
        return found

    def _look_on(self) -> None:
        while not self._is_over.wait(_PAUSE):
            try:
                self._found.put(look(self._client))
            except CtlError:
                continue  # it does not answer now, which is what it is looked at for


def look(client: RestClient) -> Snapshot:
    """One look. Ages are taken off the time of the answer, so times are late by its way, not early.

    Raises:
        CtlError: it does not answer.
    """
    worker = client.get("/engine/worker")
    zygote_age, then = worker.get("zygote_uptime_seconds"), time.monotonic()
    tasks = client.get("/engine/tasks")
    at = time.monotonic()
    return Snapshot(
        at=at,
        tasks={name_of(task): _seen(task, at) for task in tasks},
        supervisor_pid=worker["supervisor_pid"],
        herder_pid=worker["herder_pid"],
        zygote_pid=worker.get("zygote_pid"),
        zygote_ready_at=None if zygote_age is None else then - zygote_age,
    )


def _seen(task: Mapping[str, Any], at: float) -> TaskSeen:
    uptime, since_commit = task["uptime_seconds"], task["since_commit_seconds"]
    return TaskSeen(
        pid=task["pid"],
        generation=task["generation"],
        condition=task["condition"],
        started_at=None if uptime is None else at - uptime,
        committed_at=None if since_commit is None else at - since_commit,
        restarts=task["restarts_total"],
        trace=task["trace"],
    )
