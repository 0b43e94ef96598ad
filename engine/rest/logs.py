"""``/engine/connectors/{c}/logs``: the tasks' logs as lines of JSON, followed on request."""

from typing import Any

from aiohttp import web

from engine.api.errors import NotFoundError
from engine.herder.herder import Herder
from engine.model.task_id import TaskId
from engine.rest.line_stream import LineStream, number_of, tail_of
from engine.rest.log_tail import LogTail, event_of, json_line
from engine.rest.route import CONNECTOR, Route, connector_of


class LogsResource:
    """Logs of a connector's tasks."""

    def __init__(self, herder: Herder, stream: LineStream) -> None:
        self._herder = herder
        self._stream = stream

    def routes(self) -> list[Route]:
        """What is answered here."""
        return [Route("GET", f"/engine/connectors/{CONNECTOR}/logs", self._logs)]

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        connector = connector_of(request)
        await self._herder.connector_info(connector)
        task, count = number_of(request, "task"), tail_of(request)
        tails: dict[TaskId, LogTail] = {}
        self._open(connector, task, tails)
        if task is not None and not tails:
            raise NotFoundError(f"Task {connector}-{task} not found")

        async def goes_on() -> bool:
            self._open(connector, task, tails)
            return connector in await self._herder.connectors()

        try:
            return await self._stream.answer(
                request, lambda: _last(tails, count), lambda: b"".join(_more(tails)), goes_on
            )
        finally:
            for tail in tails.values():
                tail.close()

    def _open(self, connector: str, task: int | None, tails: dict[TaskId, LogTail]) -> None:
        """Add the tasks that are not there yet."""
        for view in self._herder.task_views():
            wanted = view.id.connector == connector and task in (None, view.id.task)
            if wanted and view.id not in tails and view.log_file is not None:
                tails[view.id] = LogTail(view.log_file)


def _last(tails: dict[TaskId, LogTail], count: int) -> bytes:
    """The last events of all tasks together, by time."""
    stamped: list[tuple[str, dict[str, Any]]] = []
    for task, tail in tails.items():
        when = ""
        for line in tail.last(count):
            event = event_of(line, task)
            if event is not None:
                when = str(event.get("timestamp", when))
                stamped.append((when, event))
    stamped.sort(key=lambda each: each[0])
    shown = stamped[-count:] if count else []
    return b"".join(json_line(event) for _, event in shown)


def _more(tails: dict[TaskId, LogTail]) -> list[bytes]:
    lines = []
    for task, tail in tails.items():
        for line in tail.more():
            event = event_of(line, task)
            if event is not None:
                lines.append(json_line(event))
    return lines
