"""The HTTP server: all resources together, on a socket that somebody else has opened."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator

from aiohttp import web

from engine.herder.herder import Herder
from engine.rest.body import MAX_BODY_BYTES
from engine.rest.connector_actions import ConnectorActionsResource
from engine.rest.connectors import ConnectorsResource
from engine.rest.dead_letters import DeadLettersResource
from engine.rest.engine_resource import EngineResource
from engine.rest.errors import answer_errors
from engine.rest.events import EventsResource
from engine.rest.explain import ExplainResource
from engine.rest.line_stream import LineStream
from engine.rest.loggers import LoggersResource
from engine.rest.logs import LogsResource
from engine.rest.metrics import MetricsResource
from engine.rest.offsets import OffsetsResource
from engine.rest.plugins import ConnectorPluginsResource
from engine.rest.rates import Rates
from engine.rest.root import RootResource
from engine.rest.route import add_routes
from engine.rest.site import HttpSite


def make_app(herder: Herder, *, request_timeout: float = 90.0) -> web.Application:
    """Everything that is answered.

    Args:
        herder: does the work.
        request_timeout: seconds until a client is told that its request takes too long.
    """
    app = web.Application(
        middlewares=[answer_errors(request_timeout)], client_max_size=MAX_BODY_BYTES
    )
    rates = Rates(herder.task_counters, time.monotonic)
    stream = LineStream()
    resources = (
        RootResource(herder),
        ConnectorsResource(herder),
        OffsetsResource(herder),
        ConnectorActionsResource(herder),
        ConnectorPluginsResource(herder),
        EngineResource(herder, rates),
        MetricsResource(herder),
        LogsResource(herder, stream),
        LoggersResource(herder),
        EventsResource(herder, stream),
        ExplainResource(herder),
        DeadLettersResource(herder),
    )
    add_routes(app, [route for resource in resources for route in resource.routes()])
    app.on_shutdown.append(stream.close)

    async def watch_rates(_app: web.Application) -> AsyncIterator[None]:
        watching = asyncio.create_task(rates.run())
        yield
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching

    app.cleanup_ctx.append(watch_rates)
    return app


async def serve(herder: Herder, sock: socket.socket) -> web.AppRunner:
    """Answer on a listening socket until ``await runner.cleanup()``.

    The socket may be shared with others and outlive us: a connection that nobody has accepted waits
    for whoever serves next.
    """
    runner = web.AppRunner(
        make_app(herder), access_log=None, handle_signals=False, shutdown_timeout=2.0
    )
    await runner.setup()
    sock.setblocking(False)
    await HttpSite(runner, sock).start()
    return runner
