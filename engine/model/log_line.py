"""One log event as a line: JSON for machines, a readable line for people.

Processes write JSON text sequences (RFC 7464: a record separator, a JSON object, a line feed) into
their log pipe, so that the supervisor can tell an event of theirs from anything else that a
library prints there. Keys that every event has: ``timestamp`` (RFC 3339, UTC), ``level``,
``event``, ``logger``; events about a connector have ``connector``, of a task also ``task``.
"""

from collections.abc import Mapping
from typing import Any, Final

RECORD_SEPARATOR: Final = b"\x1e"

LEVELS: Final[Mapping[str, int]] = {
    "trace": 5, "debug": 10, "info": 20, "warn": 30, "warning": 30, "error": 40, "fatal": 50,
    "critical": 50, "off": 60,
}  # fmt: skip
"""Severities of events, by every name that may be configured."""

_ESCAPES: Final = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"
}
_SHOWN: Final = frozenset(("timestamp", "level", "event", "logger", "connector", "task"))


def context_of(event: Mapping[str, Any]) -> str:
    """``[connector|task-0]``, upstream's ``connector.context``; empty for the worker's own."""
    connector = event.get("connector")
    if connector is None:
        return ""
    task = event.get("task")
    return f"[{connector}|worker]" if task is None else f"[{connector}|task-{task}]"


def readable(event: Mapping[str, Any]) -> str:
    """One line for people, without the line feed; a traceback follows on lines of its own.

    Characters that would steer a terminal are escaped.
    """
    head = [
        str(event.get("timestamp", ""))[:23],
        str(event.get("level", "info")).upper().ljust(7),
        context_of(event),
        str(event.get("event", "")),
    ]
    rest = [f"{k}={_shown(v)}" for k, v in event.items() if k not in _SHOWN and k != "exception"]
    line = " ".join(part for part in (*head, *rest) if part)
    exception = event.get("exception")
    return (f"{line}\n{exception}" if exception else line).translate(_ESCAPES)


def _shown(value: Any) -> str:
    text = str(value)
    return repr(text) if " " in text or not text else text
