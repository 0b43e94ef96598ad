"""Bodies of requests and answers: JSON as Kafka Connect reads and writes it, and nothing else."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web

from engine.herder.herder import BadRequestError

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
"""A configuration is a Kafka record in distributed mode, and those end at a megabyte as a rule."""

_UNLIKE_JACKSON: Final = re.compile(r"\\\\|\\u[0-9a-f]{4}|[\U00010000-\U0010ffff]")


class _Number(str):
    """A number as it was written: configurations keep ``1.50`` and ``1e3``."""

    __slots__ = ()


def encode(value: Any) -> bytes:
    """JSON as Jackson writes it: compact, UTF-8, surrogates and hexadecimals in upper case."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _UNLIKE_JACKSON.sub(_as_jackson, text).encode("utf-8", "replace")


def _as_jackson(found: re.Match[str]) -> str:
    text = found.group()
    if text == "\\\\":
        return text
    if text[0] == "\\":
        return "\\u" + text[2:].upper()
    pair = text.encode("utf-16-be").hex().upper()
    return f"\\u{pair[:4]}\\u{pair[4:]}"


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer with a JSON body."""
    return web.Response(
        body=encode(value), status=status, headers=headers, content_type="application/json"
    )


async def read_object(request: web.Request) -> dict[str, Any]:
    """The JSON object that a request carries; numbers are texts, just as they were written.

    Raises:
        web.HTTPException: the media type is not JSON, or the body is too large.
        BadRequestError: it is no JSON object.
    """
    return await _read(request, _Number, _Number)


async def read_values(request: web.Request) -> dict[str, Any]:
    """The same with numbers as numbers."""
    return await _read(request, int, float)


async def _read(
    request: web.Request, integer: Callable[[str], Any], fraction: Callable[[str], Any]
) -> dict[str, Any]:
    if request.content_type != "application/json" or "Content-Type" not in request.headers:
        raise web.HTTPUnsupportedMediaType
    value = _decode(await request.read(), integer, fraction)
    if not isinstance(value, dict):
        raise BadRequestError(f"The request body must be a JSON object, not {_kind(value)}")
    return value


def _decode(body: bytes, integer: Callable[[str], Any], fraction: Callable[[str], Any]) -> Any:
    try:
        text = body.decode("utf-8-sig")
        if not text.strip():
            raise BadRequestError("The request body is empty; a JSON object was expected")
        value = json.loads(
            text, parse_int=integer, parse_float=fraction, parse_constant=_refuse_constant
        )
    except UnicodeDecodeError as error:
        raise BadRequestError(f"The request body is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise BadRequestError(
            f"Malformed JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except ValueError:
        raise BadRequestError("Malformed JSON: a number with too many digits") from None
    except RecursionError:
        raise BadRequestError("Malformed JSON: nested too deeply") from None
    return value


def _refuse_constant(name: str) -> Any:
    raise BadRequestError(f"Malformed JSON: {name} is not a JSON value")


def config_of(value: Any, what: str = "The configuration") -> dict[str, str | None]:
    """A flat configuration; numbers and booleans become text, as Jackson makes them.

    Raises:
        BadRequestError: a value is an object or an array, or a text that is no Unicode.
    """
    if not isinstance(value, dict):
        raise BadRequestError(f"{what} must be a JSON object of texts, not {_kind(value)}")
    return {text_of(key, "a key"): _value_of(key, each) for key, each in value.items()}


def _value_of(key: str, value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return None
    if isinstance(value, str):
        return text_of(value, f"the value of {key}")
    raise BadRequestError(f"The value of {key} must be a text, not {_kind(value)}")


def text_of(value: str, what: str) -> str:
    """The text itself, as a plain ``str``, when it can be written as UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadRequestError(f"Malformed JSON: {what} has half a surrogate pair") from None
    return str(value)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, _Number):
        return "a number"
    if isinstance(value, dict):
        return "an object"
    return "an array" if isinstance(value, list) else "a text"
