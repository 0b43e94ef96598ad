"""The resources under ``/engine/``, beside the metrics page."""

import time
from collections import Counter

from aiohttp import web

from engine.api.errors import NotFoundError
from engine.herder.herder import Herder, TaskView
from engine.model.task_id import TaskId
from engine.rest.body import answer
from engine.rest.engine_views import reloaded_json, task_json, worker_json
from engine.rest.rates import Rates
from engine.rest.route import CONNECTOR, TASK, Route, connector_of, task_of


class EngineResource:
    """Tasks and the worker, in our own words."""

    def __init__(self, herder: Herder, rates: Rates) -> None:
        self._herder = herder
        self._rates = rates

    def routes(self) -> list[Route]:
        """What is answered here."""
        return [
            Route("GET", "/engine/tasks", self._tasks),
            Route("GET", f"/engine/tasks/{CONNECTOR}/{TASK}", self._task),
            Route("GET", "/engine/worker", self._worker),
            Route("POST", "/engine/reload", self._reload),
            Route("POST", "/engine/upgrade", self._upgrade),
        ]

    async def _tasks(self, _request: web.Request) -> web.Response:
        now = time.monotonic_ns()
        return answer([self._json(view, now) for view in self._herder.task_views()])

    async def _task(self, request: web.Request) -> web.Response:
        task = TaskId(connector_of(request), task_of(request))
        for view in self._herder.task_views():
            if view.id == task:
                return answer(self._json(view, time.monotonic_ns()))
        raise NotFoundError(f"Task {task} not found")

    def _json(self, view: TaskView, now: int) -> dict[str, object]:
        return task_json(view, self._rates.of(view.id), now)

    async def _worker(self, _request: web.Request) -> web.Response:
        tasks = Counter(view.report.condition for view in self._herder.task_views())
        return answer(worker_json(self._herder.worker_view(), tasks, time.monotonic_ns()))

    async def _reload(self, _request: web.Request) -> web.Response:
        return answer(reloaded_json(await self._herder.reload()))

    async def _upgrade(self, _request: web.Request) -> web.Response:
        return answer({"attempt": self._herder.request_upgrade()}, 202)
