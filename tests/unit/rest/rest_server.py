"""The real HTTP server on a loopback port, in a thread of its own, and a plain client."""

import asyncio
import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engine.herder.herder import Herder
from engine.rest.server import serve


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """The message of an error, whose form is checked."""
        assert set(self.json) == {"error_code", "message"}
        assert self.json["error_code"] == self.status
        assert "Traceback" not in self.json["message"]
        return str(self.json["message"])


@dataclass(frozen=True)
class RestServer:
    """Where it listens."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own; a body goes as JSON unless it is raw."""
        sent = dict(headers or {})
        if body is not None:
            raw = json.dumps(body).encode()
        if raw is not None:
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, raw, {k: v for k, v in sent.items() if v})
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())


@contextlib.contextmanager
def serving(herder: Herder) -> Iterator[RestServer]:
    """Serve until the end of the block."""
    sock = socket.create_server(("127.0.0.1", 0))
    loop = asyncio.new_event_loop()
    runner = loop.run_until_complete(serve(herder, sock))
    thread = threading.Thread(target=loop.run_forever, name="rest")
    thread.start()
    try:
        yield RestServer(sock.getsockname()[1])
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        sock.close()
