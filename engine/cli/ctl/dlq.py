"""``engine ctl dlq``: records that were given up, looked at, changed, sent again or thrown away."""

import argparse
import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from engine.cli.ctl.client import CtlError, RestClient, segment
from engine.cli.ctl.exit_code import ExitCode
from engine.cli.ctl.output import NOTHING, Column, Terminal, count, printable, table, terminal
from engine.cli.ctl.progress import Progress
from engine.model.data_text import plain

_CAUSES: Final = (
    Column("CONNECTOR", rank=4),
    Column("STAGE"),
    Column("CAUSE", is_long=True),
    Column("LETTERS", is_figure=True),
    Column("REPLAYED", is_figure=True, rank=1),
    Column("LAST", rank=2),
)
_LETTERS: Final = (
    Column("LETTER", is_figure=True),
    Column("TIME", rank=2),
    Column("STAGE", rank=1),
    Column("RECORD", is_long=True),
    Column("STATE", rank=3),
    Column("MESSAGE", is_long=True),
)


def ls(arguments: argparse.Namespace, client: RestClient) -> int:
    """Counts by cause, then the letters."""
    found = _all_counted(arguments, client)
    if arguments.json:
        _print_json(found)
    else:
        print(list_text(found, terminal()))
    return ExitCode.OK


def _all_counted(arguments: argparse.Namespace, client: RestClient) -> dict[str, Any]:
    """The answers of as many requests as it takes to look at all letters."""
    counts: dict[tuple[Any, ...], dict[str, Any]] = {}
    letters: list[Any] = []
    after: str | None = ""
    is_more, total, progress = False, 0, Progress("letters read")
    while after is not None:
        query = [("where", each) for each in arguments.where]
        query += [("queue", arguments.queue), ("list_after", arguments.after), ("after", after)]
        query += [("limit", arguments.limit - len(letters))]
        found = client.get(f"{_place(arguments.name)}?{urlencode(query)}")
        for each in found["counts"]:
            _add_counts(counts, each)
        letters += found["letters"]
        total += found["total"]
        is_more = is_more or found["more_after"] is not None
        after = found["next"]
        progress.show(found["seen"], found["of"], is_over=after is None)
    last = letters[-1]["letter"] if letters else arguments.after or "0"
    return {
        "total": total,
        "counts": sorted(counts.values(), key=lambda each: -each["letters"]),
        "letters": letters,
        "more_after": last if is_more else None,
    }


def _add_counts(counts: dict[tuple[Any, ...], dict[str, Any]], more: dict[str, Any]) -> None:
    known = counts.setdefault((more["connector"], more["stage"], more["cause"]), more)
    if known is more:
        return
    for name in ("letters", "times", "replayed"):
        known[name] += more[name]
    for name, choose in (("first_time", min), ("last_time", max)):
        times = [each[name] for each in (known, more) if each[name] is not None]
        known[name] = choose(times, default=None)


def show(arguments: argparse.Namespace, client: RestClient) -> int:
    """One letter with everything in it."""
    found = client.get(f"{_place(arguments.name)}/{arguments.letter}")
    if arguments.json:
        _print_json(found)
    else:
        print(letter_text(found))
    return ExitCode.OK


def edit(arguments: argparse.Namespace, client: RestClient) -> int:
    """Give a letter another key or value, or other headers."""
    body: dict[str, Any] = {"revert": arguments.revert, "base64": True}
    for name in ("key", "value"):
        data = _given(arguments, name)
        if data is not None:
            body[name] = _base64(data)
        if getattr(arguments, f"null_{name}"):
            body[name] = None
    body["headers"] = {
        **{name: _base64(_encoded(text)) for name, text in arguments.header},
        **dict.fromkeys(arguments.null_header),
    }
    body["remove_headers"] = arguments.remove_header
    _, found = client.ask("PATCH", f"{_place(arguments.name)}/{arguments.letter}", body)
    if arguments.json:
        _print_json(found)
    else:
        print(letter_text(found))
    return ExitCode.OK


# ---- texts -----------------------------------------------------------------------------------


def list_text(found: Mapping[str, Any], target: Terminal) -> str:
    """Causes with their counts, then letters, then what is left out."""
    if not found["total"]:
        return "No dead letters."
    causes = [
        [
            each["connector"] or NOTHING,
            each["stage"] or NOTHING,
            each["cause"] or NOTHING,
            count(each["letters"]),
            count(each["replayed"]),
            _time(each["last_time"]),
        ]
        for each in found["counts"]
    ]
    parts = [table(_CAUSES, causes, target)]
    if found["letters"]:
        parts.append(table(_LETTERS, [_row(each) for each in found["letters"]], target))
    if found["more_after"] is not None:
        parts.append(f"There are more; --after {found['more_after']} shows them.")
    return "\n\n".join(parts)


def _row(letter: Mapping[str, Any]) -> list[str]:
    return [
        letter["letter"],
        _time(letter["time"]),
        letter["stage"] or NOTHING,
        _record(letter),
        _state(letter),
        letter["message"] or letter["cause"] or NOTHING,
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
        "letter": f"{letter['letter']} ({_state(letter)})",
        "queue": letter["queue"],
        "connector": letter["connector"],
        "record": _record(letter),
        "source partition": letter["source_partition"],
        "source offset": letter["source_offset"],
        "record's time": None if letter["timestamp"] is None else _time(letter["timestamp"]),
        "stage": letter["stage"],
        "class": letter["class"],
        "cause": letter["cause"],
        "message": letter["message"],
        "time": None if letter["time"] is None else _time(letter["time"]),
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
    if letter["edited"] and letter["original"]["headers"] != letter["headers"]:
        headers = letter["original"]["headers"] or [{"name": "(none)", "format": "null"}]
        lines += [_data_line(f"original header {each['name']}", each) for each in headers]
    return "\n".join([*lines, "", _shown((letter["stacktrace"] or "").rstrip("\n"))])


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


def _time(milliseconds: int | None) -> str:
    if milliseconds is None:
        return NOTHING
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# ---- arguments -------------------------------------------------------------------------------


def _given(arguments: argparse.Namespace, name: str) -> bytes | None:
    """Bytes of an option or of the file that it names."""
    path, text = getattr(arguments, f"{name}_file"), getattr(arguments, name)
    if path is None:
        return None if text is None else _encoded(str(text))
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CtlError(f"{path}: {error.strerror}", ExitCode.USAGE) from None


def _encoded(text: str) -> bytes:
    """An argument as it was typed, whatever its bytes are."""
    return text.encode("utf-8", "surrogateescape")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _place(name: str) -> str:
    return f"/engine/connectors/{segment(name)}/dead-letters"


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))
