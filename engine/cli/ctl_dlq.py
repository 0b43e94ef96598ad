"""``engine ctl dlq``: records that were given up, looked at, changed, sent again or thrown away."""

import argparse
import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from engine.cli.ctl_client import CtlError, RestClient, segment
from engine.cli.ctl_exit_code import ExitCode
from engine.cli.ctl_output import NOTHING, Column, Terminal, count, printable, table, terminal
from engine.model.data_text import plain

_CAUSES: Final = (
    Column("STAGE"),
    Column("CAUSE", is_long=True),
    Column("LETTERS", is_figure=True),
    Column("REPLAYED", is_figure=True, rank=1),
    Column("LAST", rank=2),
)
_LETTERS: Final = (
    Column("NUMBER", is_figure=True),
    Column("TIME", rank=2),
    Column("STAGE", rank=1),
    Column("RECORD", is_long=True),
    Column("STATE", rank=3),
    Column("MESSAGE", is_long=True),
)


def ls(arguments: argparse.Namespace, client: RestClient) -> int:
    """Counts by cause, then the letters."""
    query = [("where", each) for each in arguments.where]
    query += [("after", arguments.after), ("limit", arguments.limit)]
    found = client.get(f"{_place(arguments.name)}?{urlencode(query)}")
    if arguments.json:
        _print_json(found)
    else:
        print(list_text(found, terminal()))
    return ExitCode.OK


def show(arguments: argparse.Namespace, client: RestClient) -> int:
    """One letter with everything in it."""
    found = client.get(f"{_place(arguments.name)}/{arguments.number}")
    if arguments.json:
        _print_json(found)
    else:
        print(letter_text(found))
    return ExitCode.OK


def edit(arguments: argparse.Namespace, client: RestClient) -> int:
    """Give a letter another key or value."""
    body: dict[str, Any] = {"revert": arguments.revert, "base64": True}
    for name in ("key", "value"):
        data = _given(arguments, name)
        if data is not None:
            body[name] = base64.b64encode(data).decode()
        if getattr(arguments, f"null_{name}"):
            body[name] = None
    _, found = client.ask("PATCH", f"{_place(arguments.name)}/{arguments.number}", body)
    if arguments.json:
        _print_json(found)
    else:
        print(letter_text(found))
    return ExitCode.OK


def purge(arguments: argparse.Namespace, client: RestClient) -> int:
    """Take letters away for good."""
    _some_or_all(arguments)
    body = {"where": arguments.where, "dry_run": arguments.dry_run}
    _, found = client.ask("POST", f"{_place(arguments.name)}/purge", body)
    if arguments.json:
        _print_json(found)
    elif arguments.dry_run:
        print(f"{count(found['matched'])} letters would be purged")
    else:
        print(f"{count(found['purged'])} letters purged")
    return ExitCode.OK


# ---- texts -----------------------------------------------------------------------------------


def list_text(found: Mapping[str, Any], target: Terminal) -> str:
    """Causes with their counts, then letters, then what is left out."""
    if not found["total"]:
        return "No dead letters."
    causes = [
        [
            each["stage"],
            each["cause"],
            count(each["letters"]),
            count(each["replayed"]),
            _time(each["last_time"]),
        ]
        for each in found["counts"]
    ]
    parts = [table(_CAUSES, causes, target)]
    if found["letters"]:
        parts.append(table(_LETTERS, [_row(each) for each in found["letters"]], target))
    if found["next"] is not None:
        parts.append(f"There are more; --after {found['next']} shows them.")
    return "\n\n".join(parts)


def _row(letter: Mapping[str, Any]) -> list[str]:
    return [
        str(letter["number"]),
        _time(letter["time"]),
        letter["stage"],
        _record(letter),
        _state(letter),
        letter["message"] or letter["cause"],
    ]


def _record(letter: Mapping[str, Any]) -> str:
    if letter["offset"] is None:
        return letter["topic"] or NOTHING
    return f"{letter['topic']}-{letter['partition']}@{letter['offset']}"


def _state(letter: Mapping[str, Any]) -> str:
    words = ("edited", "replayed", "uncertain")
    return ", ".join(word for word in words if letter[word]) or NOTHING


def letter_text(letter: Mapping[str, Any]) -> str:
    """A letter: what it is, why, its data, and the stack."""
    heads = {
        "letter": f"{letter['number']} ({_state(letter)})",
        "record": _record(letter),
        "source partition": letter["source_partition"],
        "source offset": letter["source_offset"],
        "record's time": _time(letter["timestamp"]) if letter["timestamp"] is not None else None,
        "stage": letter["stage"],
        "class": letter["class"],
        "cause": letter["cause"],
        "message": letter["message"],
        "time": _time(letter["time"]),
        "times": letter["times"] if letter["times"] > 1 else None,
        "task": letter["task"],
        "attempts": letter["attempts"],
        "replayed": _replayed(letter),
    }
    known = ((name, value) for name, value in heads.items() if value is not None)
    lines = [f"{name}: {printable(plain(value))}" for name, value in known]
    for name in ("key", "value"):
        lines.append(_data_line(name, letter[name]))
        if letter["edited"] and letter["original"][name] != letter[name]:
            lines.append(_data_line(f"original {name}", letter["original"][name]))
    lines += [_data_line(f"header {each['name']}", each) for each in letter["headers"]]
    return "\n".join([*lines, "", _shown(letter["stacktrace"].rstrip("\n"))])


def _data_line(name: str, data: Mapping[str, Any]) -> str:
    if data["format"] == "null":
        return f"{name}: null"
    return f"{name} ({data['format']}): {_shown(plain(data['data']))}"


def _replayed(letter: Mapping[str, Any]) -> str | None:
    if letter["replayed_time"] is None:
        return None
    return f"{_time(letter['replayed_time'])} to {letter['replay_topic']}"


def _shown(text: str) -> str:
    """The text without characters that would steer the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# ---- arguments -------------------------------------------------------------------------------


def _given(arguments: argparse.Namespace, name: str) -> bytes | None:
    """Bytes of an option or of the file that it names."""
    path, text = getattr(arguments, f"{name}_file"), getattr(arguments, name)
    if path is None:
        return None if text is None else str(text).encode("utf-8", "surrogateescape")
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CtlError(f"{path}: {error.strerror}", ExitCode.USAGE) from None


def _some_or_all(arguments: argparse.Namespace) -> None:
    if bool(arguments.where) == arguments.all:
        raise CtlError("expected either --where or --all", ExitCode.USAGE)


def _place(name: str) -> str:
    return f"/engine/connectors/{segment(name)}/dead-letters"


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))
