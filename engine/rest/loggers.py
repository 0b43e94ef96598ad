"""``/admin/loggers`` as upstream has it, and the same for the tasks of single connectors."""

from typing import Any, Final

from aiohttp import web

from engine.api.errors import NotFoundError
from engine.herder.herder import BadRequestError, Herder
from engine.model.log_levels import level_of, own_name
from engine.rest.body import answer, read_object
from engine.rest.route import CONNECTOR, Route, connector_of
from engine.wire.log_sequence import get_logger

_LOGGER: Final = "{logger:[^/]+}"


class LoggersResource:
    """Levels of loggers, changed while everything runs."""

    def __init__(self, herder: Herder) -> None:
        self._herder = herder

    def routes(self) -> list[Route]:
        """What is answered here."""
        worker, connector = "/admin/loggers", f"/engine/connectors/{CONNECTOR}/loggers"
        return [
            Route(method, f"{place}{name}", handler)
            for place in (worker, connector)
            for method, name, handler in (
                ("GET", "", self._all),
                ("GET", f"/{_LOGGER}", self._one),
                ("PUT", f"/{_LOGGER}", self._set),
            )
        ]

    async def _all(self, request: web.Request) -> web.Response:
        return answer(await self._shown(request))

    async def _one(self, request: web.Request) -> web.Response:
        name = request.match_info["logger"]
        found = (await self._shown(request)).get(own_name(name))
        if found is None:
            raise NotFoundError(f"Logger {name} not found.")
        return answer(found)

    async def _shown(self, request: web.Request) -> dict[str, Any]:
        levels = await self._herder.log_levels(_scope(request))
        return {
            name: {"level": level, "last_modified": modified}
            for name, (level, modified) in levels.items()
        }

    async def _set(self, request: web.Request) -> web.Response:
        level = (await read_object(request)).get("level")
        if not isinstance(level, str):
            raise BadRequestError("Desired 'level' parameter was not specified in request.")
        try:
            wanted = level_of(level)
        except ValueError as error:
            raise NotFoundError(str(error)) from None
        scope = request.query.get("scope", "worker").lower()
        if scope not in ("worker", "cluster"):
            get_logger(__name__).warning("unknown scope, worker is meant", scope=scope)
        name = request.match_info["logger"]
        changed = await self._herder.set_log_level(_scope(request), name, wanted)
        return web.Response(status=204) if scope == "cluster" else answer(list(changed))


def _scope(request: web.Request) -> str | None:
    return connector_of(request) if "connector" in request.match_info else None
