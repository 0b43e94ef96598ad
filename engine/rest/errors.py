"""Every 4xx and 5xx has the body ``{"error_code", "message"}``; no traceback leaves the process."""

import asyncio
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from engine.api.errors import AlreadyExistsError, ConfigError, ConnectError, NotFoundError
from engine.herder.herder import BadRequestError
from engine.herder.journal import ACTOR
from engine.rest.body import MAX_BODY_BYTES, answer
from engine.wire.log_sequence import get_logger

_LONGEST_AGENT: Final = 64

_STATUS: Final[tuple[tuple[type[Exception], int], ...]] = (
    (NotFoundError, 404),
    (AlreadyExistsError, 409),
    (BadRequestError, 400),
    (ConfigError, 400),
    (ConnectError, 500),
)


def error(status: int, message: str) -> web.Response:
    """An answer that says what went wrong."""
    return answer({"error_code": status, "message": message}, status)


def answer_errors(request_timeout: float) -> Middleware:
    """A middleware that turns exceptions into answers and bounds the time of a request."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.match_info.http_exception is None:
                _negotiate(request)
            ACTOR.set(_actor(request))
            return await _in_time(request, handler, request_timeout)
        except web.HTTPException as refused:
            return _refusal(refused)
        except Exception as caught:  # noqa: BLE001 (the border: a client gets an answer)
            return _failure(request, caught)

    return middleware


def _actor(request: web.Request) -> str:
    """Who asks, as the journal names it."""
    agent = request.headers.get("User-Agent", "").partition(" ")[0][:_LONGEST_AGENT]
    shown = "".join(c for c in agent if c.isprintable())
    return " ".join(word for word in ("operator", request.remote, shown) if word)


def _negotiate(request: web.Request) -> None:
    """Whoever does not take JSON is told so; our own resources are not so strict."""
    accepted = request.headers.get("Accept", "")
    if not accepted or request.path.startswith(("/engine/", "/metrics")):
        return
    kinds = {part.split(";", 1)[0].strip().lower() for part in accepted.split(",")}
    if kinds.isdisjoint(("*/*", "*", "application/*", "application/json")):
        raise web.HTTPNotAcceptable


async def _in_time(request: web.Request, handler: Handler, seconds: float) -> web.StreamResponse:
    """Wait for the handler, but do not cut it short: half a change would be worse than late."""
    if request.path.startswith("/engine/"):
        return await handler(request)  # logs may be followed for days
    work = asyncio.ensure_future(handler(request))
    done, _ = await asyncio.wait({work}, timeout=seconds)
    if done:
        return work.result()
    work.add_done_callback(_log_late)
    return error(500, "Request timed out. The worker is still busy with it.")


def _log_late(work: "asyncio.Future[web.StreamResponse]") -> None:
    if not work.cancelled() and (caught := work.exception()) is not None:
        get_logger(__name__).error("Request failed after its time", exc_info=caught)


def _refusal(refused: web.HTTPException) -> web.Response:
    message = f"HTTP {refused.status} {refused.reason}"
    if refused.status == 413:
        message = f"The request body is larger than {MAX_BODY_BYTES} bytes"
    response = error(refused.status, message)
    if "Allow" in refused.headers:
        response.headers["Allow"] = refused.headers["Allow"]
    return response


def _failure(request: web.Request, caught: Exception) -> web.Response:
    for kind, status in _STATUS:
        if isinstance(caught, kind):
            return error(status, str(caught))
    get_logger(__name__).error(
        "Request failed", method=request.method, path=request.path, exc_info=caught
    )
    return error(500, str(caught) or type(caught).__name__)
