"""``/engine/events``: the journal as lines of JSON, followed on request."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from engine.api.errors import NotFoundError
from engine.herder.herder import Herder
from engine.rest.line_stream import LineStream, number_of, tail_of
from engine.rest.log_tail import LogTail
from engine.rest.route import Route

Wanted = Callable[[bytes], bool]


class EventsResource:
    """The journal: ``connector``, ``task`` and ``event`` choose, ``tail`` and ``follow`` bound."""

    def __init__(self, herder: Herder, stream: LineStream) -> None:
        self._herder = herder
        self._stream = stream

    def routes(self) -> list[Route]:
        """What is answered here."""
        return [Route("GET", "/engine/events", self._events)]

    async def _events(self, request: web.Request) -> web.StreamResponse:
        path, count = self._herder.worker_view().journal_file, tail_of(request)
        if path is None:
            raise NotFoundError("This worker keeps no journal")
        wanted = _wanted(request.query.get("connector"), number_of(request, "task"),
                         request.query.get("event"))  # fmt: skip
        tail = LogTail(path)
        try:
            return await self._stream.answer(
                request, lambda: _joined(tail.last(count, wanted)),
                lambda: _joined([line for line in tail.more() if wanted(line)]), _always,
            )  # fmt: skip
        finally:
            tail.close()


async def _always() -> bool:
    return True


def _joined(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def last_events(
    path: Path, connector: str, task: int | None, event: str, count: int
) -> list[dict[str, Any]]:
    """The newest events of one kind, oldest first. Reads files: not for the loop."""
    tail = LogTail(path)
    try:
        found = tail.last(count, _wanted(connector, task, event))
    finally:
        tail.close()
    return [json.loads(line) for line in found]


def _wanted(connector: str | None, task: int | None, events: str | None) -> Wanted:
    """Which lines were asked for; what is no event, such as half a line, never is."""
    chosen: dict[str, Any] = {"connector": connector, "task": task}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    names = events.split(",") if events else None
    words = [json.dumps(connector).encode()] if connector and connector.isascii() else []
    kinds = [json.dumps(name).encode() for name in names or ()]

    def wanted(line: bytes) -> bool:
        if not all(word in line for word in words):
            return False  # which is told at a glance
        if kinds and not any(kind in line for kind in kinds):
            return False
        try:
            event = json.loads(line)
        except ValueError:
            return False
        if not isinstance(event, dict) or (names and event.get("event") not in names):
            return False
        return all(event.get(name) == value for name, value in chosen.items())

    return wanted
