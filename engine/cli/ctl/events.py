"""``engine ctl events``: the journal for people, one line an event."""

import argparse
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from engine.cli.ctl.client import CtlError, RestClient
from engine.cli.ctl.exit_code import ExitCode
from engine.cli.ctl.output import printable

_TOLD: Final = frozenset(
    ("timestamp", "epoch", "seq", "event", "by", "connector", "task", "generation", "from", "to",
     "why", "death", "offsets")
)  # fmt: skip


def events(arguments: argparse.Namespace, client: RestClient) -> int:
    """What happened last, and what happens."""
    connector, task = _chosen(arguments)
    query = {"tail": arguments.tail, "connector": connector, "task": task}
    if arguments.follow:
        query["follow"] = "true"
    told = urlencode({name: value for name, value in query.items() if value is not None})
    for line in client.lines(f"/engine/events?{told}"):
        text = line.decode().rstrip("\n")
        print(text if arguments.json else event_line(json.loads(text)), flush=arguments.follow)
    return ExitCode.OK


def _chosen(arguments: argparse.Namespace) -> tuple[str | None, int | None]:
    """Whose events are wanted: ``--task orders-0``, or a name and perhaps ``--task 0``."""
    if arguments.task is None:
        return arguments.name, None
    connector, _, number = arguments.task.rpartition("-")
    if not (number.isascii() and number.isdigit()):
        raise CtlError(f"{arguments.task} is no task: expected NAME-0 or 0", ExitCode.USAGE)
    if connector and arguments.name not in (None, connector):
        raise CtlError(f"{arguments.task} is no task of {arguments.name}", ExitCode.USAGE)
    if not connector and arguments.name is None:
        raise CtlError(f"--task {number} needs the name of a connector", ExitCode.USAGE)
    return connector or arguments.name, int(number)


def event_line(event: Mapping[str, Any]) -> str:
    """When, what, whose, how, why, by whom; then what else there is, but no long texts."""
    by = event.get("by")
    parts = [
        str(event.get("timestamp", ""))[:23],
        str(event.get("event", "")).ljust(12),
        _whose(event),
        _change(event),
        str(event.get("why") or ""),
        *(f"{k}={_value(v)}" for k, v in event.items() if k not in _TOLD),
        f"(by {by})" if by not in (None, "supervisor") else "",
    ]
    return printable(" ".join(part for part in parts if part))


def _whose(event: Mapping[str, Any]) -> str:
    connector, task = event.get("connector"), event.get("task")
    return str(connector or "") if task is None else f"{connector}-{task}"


def _change(event: Mapping[str, Any]) -> str:
    if event.get("to") is None:
        return ""
    return f"{event['from']} → {event['to']}:" if event.get("from") else f"→ {event['to']}:"


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
