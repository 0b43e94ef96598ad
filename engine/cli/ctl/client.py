"""A client of the REST API on nothing but the standard library, which keeps ``ctl`` quick."""

import http.client
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote, urlsplit

from engine import __version__
from engine.cli.ctl.exit_code import ExitCode

Json = Any

_STATUS: Final = {404: ExitCode.NOT_FOUND, 409: ExitCode.CONFLICT}


class CtlError(Exception):
    """Ends the command with one line and an exit code."""

    def __init__(self, message: str, code: ExitCode) -> None:
        super().__init__(message)
        self.code = code


def fail(error: CtlError) -> int:
    """Say what went wrong; the exit code."""
    print(f"engine ctl: {error}", file=sys.stderr)
    return error.code


class RestClient:
    """One engine.

    Args:
        url: where its REST API is.
        timeout: seconds without an answer after which it counts as unreachable.
    """

    def __init__(self, url: str, timeout: float) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CtlError(f"{url} is no URL of an engine", ExitCode.USAGE)
        try:
            self._port = parts.port
        except ValueError as error:
            raise CtlError(f"{url} is no URL of an engine: {error}", ExitCode.USAGE) from None
        self._host = parts.hostname
        self._is_https = parts.scheme == "https"
        self._prefix = parts.path.rstrip("/")
        self._timeout = timeout
        self._url = url

    def get(self, path: str) -> Json:
        """What is there; NOT_FOUND if nothing is."""
        return self.ask("GET", path)[1]

    def find(self, path: str) -> Json:
        """What is there, or None."""
        try:
            return self.get(path)
        except CtlError as error:
            if error.code is ExitCode.NOT_FOUND:
                return None
            raise

    def ask(self, method: str, path: str, body: Json = None) -> tuple[int, Json]:
        """Status and answer of a request; everything that is no success is a CtlError."""
        with self._asking(method, path, body) as response:
            answered = _parsed(response.read())
            if response.status >= 400:
                raise self._refusal(response, answered)
            return response.status, answered

    def lines(self, path: str) -> Iterator[bytes]:
        """Lines of an answer as they come, however long that takes."""
        with self._asking("GET", path, None, is_endless=True) as response:
            if response.status >= 400:
                raise self._refusal(response, _parsed(response.read()))
            yield from response

    @contextmanager
    def _asking(
        self, method: str, path: str, body: Json, *, is_endless: bool = False
    ) -> Iterator[http.client.HTTPResponse]:
        kind = http.client.HTTPSConnection if self._is_https else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=self._timeout)
        headers = {"Accept": "application/json", "User-Agent": f"engine-ctl/{__version__}"}
        sent = None
        if body is not None:
            sent = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, self._prefix + path, sent, headers)
            sock = connection.sock
            with connection.getresponse() as response:
                if is_endless:
                    sock.settimeout(None)
                yield response
        except TimeoutError:
            message = f"No answer from {self._url} within {self._timeout:g} s"
            raise CtlError(message, ExitCode.UNREACHABLE) from None
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None
        finally:
            connection.close()

    def _unreachable(self, error: Exception) -> CtlError:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return CtlError(f"Cannot reach the engine at {self._url}: {reason}", ExitCode.UNREACHABLE)

    def _refusal(self, response: http.client.HTTPResponse, answered: Json) -> CtlError:
        message = answered.get("message") if isinstance(answered, dict) else None
        if not isinstance(message, str):
            message = f"HTTP {response.status} {response.reason} from {self._url}"
        code = _STATUS.get(response.status, ExitCode.REFUSED)
        if message.startswith("No connector `"):  # upstream's 500 for an unknown connector
            code = ExitCode.NOT_FOUND
        return CtlError(message, code)


def _parsed(data: bytes) -> Json:
    try:
        return json.loads(data) if data else None
    except ValueError:
        return None


def segment(name: str) -> str:
    """A name as a segment of a path."""
    return quote(name, safe="")
