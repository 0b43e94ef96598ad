"""Answers of lines of JSON, one object each, that may be followed for days."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from engine.herder.herder import BadRequestError
from engine.rest.route import is_true

_LOOK_INTERVAL: Final = 0.2
_COUNT_MAX: Final = 100_000
TAIL_DEFAULT: Final = 100

Lines = Callable[[], bytes]


class LineStream:
    """What all streams of a server have in common: they end with it."""

    def __init__(self) -> None:
        self._closing = asyncio.Event()

    async def close(self, _app: web.Application) -> None:
        """End what is being followed."""
        self._closing.set()

    async def answer(
        self,
        request: web.Request,
        first: Lines,
        more: Lines,
        goes_on: Callable[[], Awaitable[bool]],
    ) -> web.StreamResponse:
        """Send the lines that there are and, with ``follow=true``, those that come.

        Args:
            first: may take long; it runs in a thread.
            more: what has come since.
            goes_on: asked now and then, when nothing comes.
        """
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        try:
            await response.write(await asyncio.to_thread(first))
            if is_true(request, "follow") and request.method != "HEAD":
                await self._follow(request, response, more, goes_on)
            await response.write_eof()
        except ConnectionResetError:  # the client has seen enough
            pass
        return response

    async def _follow(
        self,
        request: web.Request,
        response: web.StreamResponse,
        more: Lines,
        goes_on: Callable[[], Awaitable[bool]],
    ) -> None:
        while not self._closing.is_set():
            if request.transport is None or request.transport.is_closing():
                return
            lines = more()
            if lines:
                await response.write(lines)
                continue
            try:
                await asyncio.wait_for(self._closing.wait(), _LOOK_INTERVAL)
            except TimeoutError:
                if not await goes_on():
                    return


def number_of(request: web.Request, name: str) -> int | None:
    """A whole number of the query; None when it is not given.

    Raises:
        BadRequestError: it is none, or too large.
    """
    text = request.query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) > _COUNT_MAX:
        raise BadRequestError(
            f"Invalid value {text} for {name}: must be a whole number from 0 to {_COUNT_MAX}"
        )
    return int(text)


def tail_of(request: web.Request) -> int:
    """How many lines of the past are wanted."""
    count = number_of(request, "tail")
    return TAIL_DEFAULT if count is None else count
