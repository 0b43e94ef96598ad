"""Connections on the listening socket; what is no HTTP is answered in JSON like everything else."""

import asyncio
import socket
from http import HTTPStatus

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod

from engine.rest.errors import error


class HttpConnection(web.RequestHandler):
    """One connection of a client."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be parsed; the fault is the client's, so nothing is logged."""
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        if isinstance(exc, BadHttpMethod):
            status = 405
        said = f"HTTP {status} {HTTPStatus(status).phrase}"
        reason = (message or "").strip().partition("\n")[0].rstrip(":")
        response = error(status, f"{said}: {reason}" if reason and status != 405 else said)
        response.force_close()
        return response


class HttpSite(web.BaseSite):
    """Accepts connections on a socket that is listening already."""

    def __init__(self, runner: web.BaseRunner, sock: socket.socket) -> None:
        super().__init__(runner)
        self._sock = sock

    @property
    def name(self) -> str:
        """Where it listens."""
        return "http://{}:{}".format(*self._sock.getsockname()[:2])

    async def start(self) -> None:
        """Begin to accept connections."""
        await super().start()
        loop, server = asyncio.get_running_loop(), self._runner.server
        if server is None:
            raise RuntimeError("the runner is not set up")
        self._server = await loop.create_server(
            lambda: HttpConnection(
                server,
                loop=loop,
                access_log=None,  # type: ignore[arg-type]  # which means: do not log
            ),
            sock=self._sock,
        )
