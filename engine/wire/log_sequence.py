"""Structured logs of the engine's processes, as JSON text sequences on standard error.

The other end of the pipe is the supervisor, see :mod:`engine.model.log_line`. A process calls
:func:`configure` once; modules ask :func:`get_logger` for their logger.
"""

import logging
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from engine.model.log_line import LEVELS, RECORD_SEPARATOR

_LONGEST: Final = 60 * 1024
"""Below the length at which the reader takes a line for two."""

_STANDARD_ERROR: Final = 2


def get_logger(name: str) -> Any:
    """A logger whose events carry this name under ``logger``."""
    return _structlog().get_logger(name)


def configure(level: str = "info", **bound: Any) -> None:
    """Send every event of this process, also those of :mod:`logging`, to standard error.

    Args:
        level: the least that is written.
        bound: what every event is to carry (``connector``, ``task``).
    """
    structlog = _structlog()
    least = LEVELS.get(level.lower(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _binder(bound),
            structlog.processors.format_exc_info,
            _encode,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            min(max(least, logging.DEBUG), logging.CRITICAL)  # it knows no others
        ),
        logger_factory=_Writer,
        cache_logger_on_first_use=False,
    )
    handler = _StandardHandler(structlog)
    logging.basicConfig(handlers=[handler], level=max(least, logging.INFO), force=True)


def _structlog() -> Any:
    """structlog, imported without rich: its console renderer, which we do not use, costs 45 ms."""
    hides_rich = "structlog" not in sys.modules and "rich" not in sys.modules
    if hides_rich:
        sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        import structlog  # noqa: PLC0415
    finally:
        if hides_rich:
            del sys.modules["rich"]
    return structlog


class _Writer:
    """Where structlog's events end up."""

    def __init__(self, name: str = "engine") -> None:
        self.name = name

    def msg(self, line: bytes) -> None:
        """Write an encoded event."""
        data = RECORD_SEPARATOR + line + b"\n"
        try:
            while data:
                data = data[os.write(_STANDARD_ERROR, data) :]
        except OSError:  # nobody reads the log any more: work goes on
            return

    trace = debug = info = warning = warn = error = exception = critical = fatal = log = msg


def _binder(bound: dict[str, Any]) -> Callable[[Any, str, dict[str, Any]], dict[str, Any]]:
    def bind(logger: _Writer, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"timestamp": now, "logger": logger.name, **bound, **event}

    return bind


def _encode(
    _logger: Any, _method: str, event: dict[str, Any]
) -> tuple[tuple[bytes], dict[str, Any]]:
    try:
        line = msgspec.json.encode(event, enc_hook=str)
    except (UnicodeEncodeError, TypeError, ValueError):  # half a character, a key that is no text
        line = msgspec.json.encode(_shortened(event))
    if len(line) > _LONGEST:
        line = msgspec.json.encode(_shortened(event))
    return (line,), {}


def _shortened(event: dict[str, Any]) -> dict[str, Any]:
    """The same in plain texts that fit into a line together."""
    most = _LONGEST // (6 * max(len(event), 1))  # a character may be written as an escape of six
    return {
        _plain(key)[:most]: value if isinstance(value, (bool, int)) else _plain(value)[:most]
        for key, value in event.items()
    }


def _plain(value: Any) -> str:
    return str(value).encode("utf-8", "backslashreplace").decode()


class _StandardHandler(logging.Handler):
    """Passes events of :mod:`logging` on, as libraries write them."""

    def __init__(self, structlog: Any) -> None:
        super().__init__()
        self._structlog = structlog

    def emit(self, record: logging.LogRecord) -> None:
        logger = self._structlog.get_logger(record.name)
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        logger.log(level, record.getMessage(), exc_info=record.exc_info)
