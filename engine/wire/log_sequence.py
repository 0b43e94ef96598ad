"""Structured logs of the engine's processes, as JSON text sequences on standard error.

The other end of the pipe is the supervisor, see :mod:`engine.model.log_line`. A process calls
:func:`configure` once; modules ask :func:`get_logger` for their logger.
"""

import logging
import os
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec

from engine.model.log_levels import ROOT, effective, number_of
from engine.model.log_line import RECORD_SEPARATOR
from engine.model.secret import Secrets

_LONGEST: Final = 60 * 1024
"""Below the length at which the reader takes a line for two."""

_STANDARD_ERROR: Final = 2


def get_logger(name: str) -> Any:
    """A logger whose events carry this name under ``logger``."""
    return _structlog().get_logger(name)


def configure(level: str = "info", **bound: Any) -> None:
    """Send every event of this process, also those of :mod:`logging`, to standard error.

    Args:
        level: the least that is written, until :func:`set_levels` says otherwise.
        bound: what every event is to carry (``connector``, ``task``).
    """
    _STATE.default, _STATE.root, _STATE.by_name, _STATE.bound = level, None, {}, bound
    if not _STATE.is_connected:  # a task inherits this from the zygote
        _connect(_structlog())
        _STATE.is_connected = True
    _let_through()


def _connect(structlog: Any) -> None:
    """Lead structlog and :mod:`logging` here."""
    structlog.configure(
        processors=[
            _drop_unwanted,
            structlog.processors.add_log_level,
            _bind,
            structlog.processors.format_exc_info,
            _encode,
        ],
        logger_factory=_Writer,
        cache_logger_on_first_use=False,  # levels may change
    )
    logging.basicConfig(handlers=[_StandardHandler(structlog)], force=True)


def hide(secrets: Secrets) -> None:
    """Let none of these values leave this process in an event or in what Python code prints.

    Args:
        secrets: may grow later.
    """
    _STATE.secrets = secrets
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        plain = stream.stream if isinstance(stream, _Hiding) else stream
        setattr(sys, name, _Hiding(plain, secrets))


class _Hiding:
    """A stream for texts that hides secrets in each text that is written; else the other stream."""

    def __init__(self, stream: TextIO, secrets: Secrets) -> None:
        self.stream = stream
        self._secrets = secrets

    def write(self, text: str) -> int:
        return self.stream.write(self._secrets.hide(text) if self._secrets else text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def set_levels(levels: Mapping[str, str]) -> None:
    """Change how much is written; these levels hold in place of all that were set before.

    Args:
        levels: by logger, ``root`` among them; what is not named stays as it was configured.
    """
    for name in _STATE.by_name:
        logging.getLogger(name).setLevel(logging.NOTSET)
    _STATE.by_name = {name: level for name, level in levels.items() if name != ROOT}
    _STATE.root = levels.get(ROOT)
    for name, level in _STATE.by_name.items():
        logging.getLogger(name).setLevel(number_of(level))
    _let_through()


def _let_through() -> None:
    """Let pass what the levels say, and spend nothing on what is less severe than all of them."""
    # libraries are as talkative as we are only when somebody asks for it
    libraries = _STATE.root or _STATE.default
    root, level = logging.getLogger(), number_of(libraries)
    level = level if _STATE.root else max(level, logging.INFO)
    if root.level != level:
        root.setLevel(level)
    least = min(number_of(each) for each in (libraries, *_STATE.by_name.values()))
    least = min(max(least, logging.DEBUG), logging.CRITICAL)  # structlog knows no others
    if _STATE.least != least:
        structlog = _structlog()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(least))
        _STATE.least = least


class _State(msgspec.Struct):
    """What holds in this process."""

    default: str = "info"
    root: str | None = None
    by_name: Mapping[str, str] = msgspec.field(default_factory=dict)
    secrets: Secrets = msgspec.field(default_factory=Secrets)
    bound: Mapping[str, Any] = msgspec.field(default_factory=dict)
    least: int = logging.NOTSET
    is_connected: bool = False

    def number(self, logger: str) -> int:
        return number_of(effective(self.by_name, logger, self.root or self.default))


_STATE: Final = _State()


def _drop_unwanted(logger: "_Writer", method: str, event: dict[str, Any]) -> dict[str, Any]:
    if _STATE.by_name and number_of(method) < _STATE.number(logger.name):
        raise _structlog().DropEvent
    return event


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


def _bind(logger: _Writer, _method: str, event: dict[str, Any]) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"timestamp": now, "logger": logger.name, **_STATE.bound, **event}


def _encode(
    _logger: Any, _method: str, event: dict[str, Any]
) -> tuple[tuple[bytes], dict[str, Any]]:
    try:
        line = msgspec.json.encode(event, enc_hook=str)
    except (UnicodeEncodeError, TypeError, ValueError):  # half a character, a key that is no text
        line = msgspec.json.encode(_shortened(event))
    if len(line) > _LONGEST:
        line = msgspec.json.encode(_shortened(event))
    if _STATE.secrets:
        line = _STATE.secrets.hide_in_json(line)
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
