"""``engine ctl dlq replay``: dead letters sent again, portion by portion."""

import argparse
import json
import sys
import threading
import time
from typing import Any, Final

from engine.cli.ctl_client import CtlError, RestClient, segment
from engine.cli.ctl_exit_code import ExitCode
from engine.cli.ctl_output import count

_PORTION: Final = 200
_BAR: Final = 30


def replay(arguments: argparse.Namespace, client: RestClient) -> int:
    """Send letters again; an interrupted replay goes on where it was when it is run again."""
    if bool(arguments.where) == arguments.all:
        raise CtlError("expected either --where or --all", ExitCode.USAGE)
    if arguments.rate == 0:
        raise CtlError("--rate 0 sends nothing; expected at least 1", ExitCode.USAGE)
    place = f"/engine/connectors/{segment(arguments.name)}/dead-letters/replay"
    wanted = {"where": arguments.where, "again": arguments.again, "topic": arguments.to}
    _, planned = client.ask("POST", place, {**wanted, "dry_run": True})
    done: dict[str, Any] = {"replayed": 0, "confirmed": 0, "refused": [], "uncertain": 0}
    if not arguments.dry_run and planned["ready"]:
        _send(arguments, client, place, wanted, planned["ready"], done)
    told = planned if arguments.dry_run else {**done, "skipped": planned["skipped"]}
    if arguments.json:
        print(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        _print(told)
    return ExitCode.REFUSED if done["refused"] or done["uncertain"] else ExitCode.OK


def _send(
    arguments: argparse.Namespace,
    client: RestClient,
    place: str,
    wanted: dict[str, Any],
    total: int,
    done: dict[str, Any],
) -> None:
    limit = min(_PORTION, arguments.rate or _PORTION)
    began, after = time.monotonic(), 0
    while after is not None and not done["uncertain"]:
        _, sent = client.ask("POST", place, {**wanted, "after": after, "limit": limit})
        for name in done:
            done[name] += sent[name]
        after = sent["next"]
        handled = done["replayed"] + done["confirmed"] + len(done["refused"])
        _show_progress(handled, total)
        if arguments.rate and after is not None:
            due = began + handled / arguments.rate
            threading.Event().wait(max(0.0, due - time.monotonic()))
    if sys.stderr.isatty():
        print(file=sys.stderr)


def _show_progress(handled: int, total: int) -> None:
    if sys.stderr.isatty():
        filled = _BAR * min(handled, total) // total
        bar = "#" * filled + "." * (_BAR - filled)
        print(f"\r[{bar}] {handled:,}/{total:,}", end="", file=sys.stderr, flush=True)


def _print(told: dict[str, Any]) -> None:
    if "ready" in told:
        print(f"{count(told['ready'])} letters would be replayed")
    else:
        print(f"{count(told['replayed'])} letters replayed")
    if told.get("confirmed"):
        print(f"{count(told['confirmed'])} were sent by an earlier replay that was cut short")
    for reason, number in told["skipped"].items():
        print(f"{count(number)} left alone: {reason}")
    for each in told.get("refused", ()):
        print(f"engine ctl: letter {each['number']} was refused: {each['reason']}", file=sys.stderr)
    if told.get("uncertain"):
        text = "Kafka has not answered for all letters; the same command again settles them"
        print(f"engine ctl: {text} ({count(told['uncertain'])} open)", file=sys.stderr)
