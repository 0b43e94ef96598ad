"""``/connectors``: create, read, change, delete (upstream: ``ConnectorsResource``)."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from engine.api.errors import NotFoundError
from engine.herder.herder import BadRequestError, ConnectorInfo, Herder
from engine.model.state import INITIAL_STATES, TargetState
from engine.model.task_id import TaskId
from engine.rest.body import answer, config_of, read_object, text_of
from engine.rest.entities import (
    connector_info,
    connector_state_info,
    instance_state,
    task_id,
)  # fmt: skip
from engine.rest.route import CONNECTOR, TASK, Route, connector_of, task_of

_CREATE_FIELDS: Final = ("config", "name", "initial_state")
_UNCODED: Final = "!$&'()*+,;=:@"  # what a segment of a path may hold besides letters and digits


class ConnectorsResource:
    """Connectors, their configurations and tasks."""

    def __init__(self, herder: Herder) -> None:
        self._herder = herder

    def routes(self) -> list[Route]:
        """What is answered here."""
        one = f"/connectors/{CONNECTOR}"
        return [
            Route("GET", "/connectors", self._list),
            Route("POST", "/connectors", self._create),
            Route("GET", one, self._get),
            Route("DELETE", one, self._delete),
            Route("GET", f"{one}/config", self._get_config),
            Route("PUT", f"{one}/config", self._put_config),
            Route("PATCH", f"{one}/config", self._patch_config),
            Route("GET", f"{one}/status", self._status),
            Route("GET", f"{one}/tasks", self._tasks),
            Route("GET", f"{one}/tasks/{TASK}/status", self._task_status),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        names = await self._herder.connectors()
        if "expand" not in request.query:
            return answer(list(names))
        expansions = set(request.query.getall("expand"))
        expanded = {}
        for name in names:
            try:
                expanded[name] = await self._expand(name, expansions)
            except NotFoundError:  # deleted meanwhile
                continue
        return answer(expanded)

    async def _expand(self, name: str, expansions: set[str]) -> dict[str, Any]:
        made = {}
        if "status" in expansions:
            made["status"] = connector_state_info(await self._herder.connector_status(name))
        if "info" in expansions:
            made["info"] = connector_info(await self._herder.connector_info(name))
        return made

    async def _create(self, request: web.Request) -> web.Response:
        body = await read_object(request)
        _refuse_unknown_fields(body)
        name = _name_of(body)
        if "config" not in body:
            raise BadRequestError('The request body has no "config"')
        config = config_of(body["config"], 'The value of "config"')
        _, info = await self._herder.put_connector_config(
            name, config, initial_state=_initial_state_of(body), allow_replace=False
        )
        return _created(request, info)

    async def _get(self, request: web.Request) -> web.Response:
        return answer(connector_info(await self._herder.connector_info(connector_of(request))))

    async def _delete(self, request: web.Request) -> web.Response:
        await self._herder.delete_connector(connector_of(request))
        return web.Response(status=204)

    async def _get_config(self, request: web.Request) -> web.Response:
        info = await self._herder.connector_info(connector_of(request))
        return answer(dict(info.config))

    async def _put_config(self, request: web.Request) -> web.Response:
        name = _usable(connector_of(request))
        config = config_of(await read_object(request))
        created, info = await self._herder.put_connector_config(name, config, allow_replace=True)
        return _created(request, info) if created else answer(connector_info(info))

    async def _patch_config(self, request: web.Request) -> web.Response:
        name = connector_of(request)
        patch = config_of(await read_object(request))
        return answer(connector_info(await self._herder.patch_connector_config(name, patch)))

    async def _status(self, request: web.Request) -> web.Response:
        status = await self._herder.connector_status(connector_of(request))
        return answer(connector_state_info(status))

    async def _tasks(self, request: web.Request) -> web.Response:
        configs = await self._herder.task_configs(connector_of(request))
        return answer([{"id": task_id(task), "config": dict(config)} for task, config in configs])

    async def _task_status(self, request: web.Request) -> web.Response:
        task = TaskId(connector_of(request), task_of(request))
        status = await self._herder.task_status(task)
        return answer({"id": task.task, **instance_state(status)})


def _refuse_unknown_fields(body: Mapping[str, Any]) -> None:
    known = ", ".join(f'"{name}"' for name in _CREATE_FIELDS)
    for name in body:
        if name not in _CREATE_FIELDS:
            raise BadRequestError(f'Unrecognized field "{name}", known properties: {known}')


def _name_of(body: Mapping[str, Any]) -> str:
    name = body.get("name")
    if name is None:
        return ""  # the validation of the configuration says what is wrong
    if not isinstance(name, str):
        raise BadRequestError('The value of "name" must be a text')
    return _usable(text_of(name, "the name").strip())


def _usable(name: str) -> str:
    if name in (".", ".."):
        raise BadRequestError(
            f"Invalid value {name} for configuration name: no URL can name such a connector"
        )
    return name


def _initial_state_of(body: Mapping[str, Any]) -> TargetState | None:
    value = body.get("initial_state")
    if value is None:
        return None
    state = INITIAL_STATES.get(value.upper()) if isinstance(value, str) else None
    if state is None:
        raise BadRequestError(
            f'Invalid value {value} for "initial_state": must be one of {", ".join(INITIAL_STATES)}'
        )
    return state


def _created(request: web.Request, info: ConnectorInfo) -> web.Response:
    path = f"/connectors/{quote(info.name, safe=_UNCODED)}"
    location = f"{request.scheme}://{request.host}{path}"
    return answer(connector_info(info), 201, {"Location": location})
