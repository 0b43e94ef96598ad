"""``engine ctl loggers`` and ``level``: how much is logged, looked at and changed at run time."""

import argparse
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from engine.cli.ctl.client import CtlError, RestClient, segment
from engine.cli.ctl.exit_code import ExitCode
from engine.cli.ctl.output import NOTHING, Column, Terminal, table, terminal
from engine.model.log_levels import level_of

_COLUMNS: Final = (Column("LOGGER", is_long=True), Column("LEVEL"), Column("SET", rank=1))


def loggers(arguments: argparse.Namespace, client: RestClient) -> int:
    """Levels by logger."""
    found = client.get(_path(arguments.name))
    if arguments.json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        print(loggers_text(found, terminal()))
    return ExitCode.OK


def loggers_text(found: Mapping[str, Any], target: Terminal) -> str:
    """A line a logger: its level, and when somebody set that."""
    rows = [[name, each["level"], _time(each["last_modified"])] for name, each in found.items()]
    return table(_COLUMNS, rows, target)


def _time(milliseconds: int | None) -> str:
    if milliseconds is None:
        return NOTHING
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def set_level(arguments: argparse.Namespace, client: RestClient) -> int:
    """Set a level, of the worker or of one connector's tasks."""
    path = f"{_path(arguments.name)}/{segment(arguments.logger)}"
    try:
        level = level_of(arguments.level)
    except ValueError as error:
        raise CtlError(str(error), ExitCode.USAGE) from None
    _, changed = client.ask("PUT", path, {"level": level})
    if arguments.json:
        print(json.dumps({"changed": changed}, ensure_ascii=False, indent=2))
        return ExitCode.OK
    for name in changed:
        print(f"{name} {level}")
    if not changed:
        print("nothing changes")
    return ExitCode.OK


def _path(connector: str | None) -> str:
    if connector is None:
        return "/admin/loggers"
    return f"/engine/connectors/{segment(connector)}/loggers"
