"""Which handler answers which method on which path."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NamedTuple

from aiohttp import web

Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]

CONNECTOR: Final = "{connector:[^/]+}"
"""Any name; what a URL cannot hold is percent-encoded, ``/`` too."""

TASK: Final = "{task:[0-9]{1,9}}"

_ORDER: Final = ("HEAD", "DELETE", "POST", "GET", "OPTIONS", "PUT", "PATCH")


class Route(NamedTuple):
    """One method on one path."""

    method: str
    path: str
    handler: Respond


def add_routes(app: web.Application, routes: Iterable[Route]) -> None:
    """Add the routes, with or without a slash at the end, and OPTIONS for every path."""
    by_path: dict[str, dict[str, Respond]] = {}
    for route in routes:
        by_path.setdefault(route.path, {})[route.method] = route.handler
    for path, handlers in by_path.items():
        if "GET" in handlers:
            handlers["HEAD"] = handlers["GET"]
        handlers["OPTIONS"] = _options((*handlers, "OPTIONS"))
        resource = app.router.add_resource(path if path == "/" else path + "{slash:/?}")
        for method, handler in handlers.items():
            resource.add_route(method, handler)


def _options(methods: Iterable[str]) -> Respond:
    names = sorted(methods, key=_ORDER.index)

    async def options(_request: web.Request) -> web.Response:
        return web.Response(text=", ".join(names), headers={"Allow": ",".join(names)})

    return options


def connector_of(request: web.Request) -> str:
    """The name of the connector in the path."""
    return request.match_info["connector"]


def task_of(request: web.Request) -> int:
    """The number of the task in the path."""
    return int(request.match_info["task"])


def is_true(request: web.Request, parameter: str, *, default: bool = False) -> bool:
    """A boolean of the query: ``true`` in any case; everything else is false."""
    value = request.query.get(parameter)
    return default if value is None else value.lower() == "true"
