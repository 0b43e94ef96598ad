"""``/`` and ``/health`` (upstream: ``RootResource``)."""

from typing import Final

from aiohttp import web

from engine.herder.herder import Herder
from engine.rest.body import answer
from engine.rest.route import Route

KAFKA_CONNECT_VERSION: Final = "4.3.1"
"""The Kafka Connect whose API this is; clients decide by it what they may ask for."""


class RootResource:
    """Who is there, and whether start-up is over."""

    def __init__(self, herder: Herder) -> None:
        self._herder = herder

    def routes(self) -> list[Route]:
        """What is answered here."""
        return [Route("GET", "/", self._root), Route("GET", "/health", self._health)]

    async def _root(self, _request: web.Request) -> web.Response:
        worker = self._herder.worker_view()
        return answer(
            {
                "version": KAFKA_CONNECT_VERSION,
                "commit": worker.commit,
                "kafka_cluster_id": worker.kafka_cluster_id,
            }
        )

    async def _health(self, _request: web.Request) -> web.Response:
        if not self._herder.is_ready():
            return answer(
                {"status": "starting", "message": "Worker is still starting up."}, status=503
            )
        message = "Worker has completed startup and is ready to handle requests."
        return answer({"status": "healthy", "message": message})
