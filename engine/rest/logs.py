"""``/engine/connectors/{c}/logs``: the tasks' logs as lines of JSON, followed on request."""

import asyncio
from typing import Any, Final

from aiohttp import web

from engine.api.errors import NotFoundError
from engine.herder.herder import BadRequestError, Herder
from engine.model.task_id import TaskId
from engine.rest.log_tail import LogTail, event_of, json_line
from engine.rest.route import CONNECTOR, Route, connector_of, is_true

_LOOK_INTERVAL: Final = 0.2
_TAIL_DEFAULT: Final = 100
_TAIL_MAX: Final = 100_000


class LogsResource:
    """Logs of a connector's tasks."""

    def __init__(self, herder: Herder) -> None:
        self._herder = herder
        self._closing = asyncio.Event()

    def routes(self) -> list[Route]:
        """What is answered here."""
        return [Route("GET", f"/engine/connectors/{CONNECTOR}/logs", self._logs)]

    async def close(self, _app: web.Application) -> None:
        """End what is being followed."""
        self._closing.set()

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        connector = connector_of(request)
        await self._herder.connector_info(connector)
        task = _number(request, "task")
        count = _number(request, "tail")
        tails: dict[TaskId, LogTail] = {}
        self._open(connector, task, tails)
        if task is not None and not tails:
            raise NotFoundError(f"Task {connector}-{task} not found")
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        try:
            wanted = _TAIL_DEFAULT if count is None else count
            # in a thread, for a long log must not hold up the other requests
            await response.write(await asyncio.to_thread(_last, tails, wanted))
            if is_true(request, "follow") and request.method != "HEAD":
                await self._follow(request, response, task, tails)
            await response.write_eof()
        except ConnectionResetError:  # the client has seen enough
            pass
        finally:
            for tail in tails.values():
                tail.close()
        return response

    def _open(self, connector: str, task: int | None, tails: dict[TaskId, LogTail]) -> None:
        """Add the tasks that are not there yet."""
        for view in self._herder.task_views():
            wanted = view.id.connector == connector and task in (None, view.id.task)
            if wanted and view.id not in tails and view.log_file is not None:
                tails[view.id] = LogTail(view.log_file)

    async def _follow(
        self,
        request: web.Request,
        response: web.StreamResponse,
        task: int | None,
        tails: dict[TaskId, LogTail],
    ) -> None:
        while not self._closing.is_set():
            if request.transport is None or request.transport.is_closing():
                return
            lines = b"".join(_more(tails))
            if lines:
                await response.write(lines)
                continue
            try:
                await asyncio.wait_for(self._closing.wait(), _LOOK_INTERVAL)
            except TimeoutError:
                connector = connector_of(request)
                if connector not in await self._herder.connectors():
                    return
                self._open(connector, task, tails)


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


def _number(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) > _TAIL_MAX:
        raise BadRequestError(
            f"Invalid value {text} for {name}: must be a whole number from 0 to {_TAIL_MAX}"
        )
    return int(text)
