"""What can be done to a connector or a task: pause, resume, stop, restart."""

from aiohttp import web

from engine.herder.herder import Herder
from engine.model.task_id import TaskId
from engine.rest.body import answer
from engine.rest.entities import connector_state_info
from engine.rest.route import CONNECTOR, TASK, Route, connector_of, is_true, task_of


class ConnectorActionsResource:
    """Changes of target states, and restarts."""

    def __init__(self, herder: Herder) -> None:
        self._herder = herder

    def routes(self) -> list[Route]:
        """What is answered here."""
        one = f"/connectors/{CONNECTOR}"
        return [
            Route("PUT", f"{one}/pause", self._pause),
            Route("PUT", f"{one}/resume", self._resume),
            Route("PUT", f"{one}/stop", self._stop),
            Route("POST", f"{one}/restart", self._restart),
            Route("POST", f"{one}/tasks/{TASK}/restart", self._restart_task),
        ]

    async def _pause(self, request: web.Request) -> web.Response:
        await self._herder.pause_connector(connector_of(request))
        return web.Response(status=202)

    async def _resume(self, request: web.Request) -> web.Response:
        await self._herder.resume_connector(connector_of(request))
        return web.Response(status=202)

    async def _stop(self, request: web.Request) -> web.Response:
        await self._herder.stop_connector(connector_of(request))
        return web.Response(status=204)

    async def _restart(self, request: web.Request) -> web.Response:
        name = connector_of(request)
        only_failed = is_true(request, "onlyFailed")
        include_tasks = is_true(request, "includeTasks")
        if not only_failed and not include_tasks:
            await self._herder.restart_connector(name)
            return web.Response(status=204)
        state = await self._herder.restart_connector_and_tasks(
            name, only_failed=only_failed, include_tasks=include_tasks
        )
        return answer(connector_state_info(state), 202)

    async def _restart_task(self, request: web.Request) -> web.Response:
        await self._herder.restart_task(TaskId(connector_of(request), task_of(request)))
        return web.Response(status=204)
