"""``/engine/connectors/{c}/dead-letters``: records that were given up, looked at and sent again."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from engine.herder.herder import BadRequestError, Herder
from engine.model.letters.request import LettersRequest
from engine.rest.body import answer, read_object
from engine.rest.route import CONNECTOR, Route, connector_of

_PLACE: Final = f"/engine/connectors/{CONNECTOR}/dead-letters"
_ONE: Final = f"{_PLACE}/{{letter:(?:[0-9]{{1,9}}@)?[0-9]{{1,18}}}}"


_QUERY: Final = ("queue", "after", "list_after", "limit")


class DeadLettersResource:
    """Dead letters of a connector."""

    def __init__(self, herder: Herder) -> None:
        self._herder = herder

    def routes(self) -> list[Route]:
        """What is answered here."""
        return [
            Route("GET", _PLACE, self._list),
            Route("GET", _ONE, self._show),
            Route("PATCH", _ONE, self._edit),
            Route("POST", f"{_PLACE}/replay", self._replay),
            Route("POST", f"{_PLACE}/purge", self._purge),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        query = request.query
        given = {name: query[name] for name in _QUERY if name in query}
        return await self._answer(request, "list", {**given, "where": query.getall("where", [])})

    async def _show(self, request: web.Request) -> web.Response:
        return await self._answer(request, "show", _one(request))

    async def _edit(self, request: web.Request) -> web.Response:
        given = await read_object(request)
        return await self._answer(request, "edit", {**given, **_one(request)})

    async def _replay(self, request: web.Request) -> web.Response:
        return await self._answer(request, "replay", await read_object(request))

    async def _purge(self, request: web.Request) -> web.Response:
        return await self._answer(request, "purge", await read_object(request))

    async def _answer(
        self, request: web.Request, action: str, given: Mapping[str, Any]
    ) -> web.Response:
        try:
            wanted = msgspec.convert({**given, "action": action}, LettersRequest, strict=False)
        except msgspec.ValidationError as error:
            raise BadRequestError(f"Invalid request for dead letters: {error}") from None
        return answer(await self._herder.dead_letters(connector_of(request), wanted))


def _one(request: web.Request) -> dict[str, str]:
    """The letter that the path names, and the queue that it is looked for in."""
    letter = request.match_info["letter"]
    return {"letter": letter, "queue": "topic" if "@" in letter else "file"}
