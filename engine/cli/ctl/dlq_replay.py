"""``engine ctl dlq replay``: dead letters sent again, portion by portion."""

import argparse
import json
import sys
import threading
import time
from typing import Any, Final

from engine.cli.ctl.client import CtlError, RestClient, segment
from engine.cli.ctl.exit_code import ExitCode
from engine.cli.ctl.output import count
from engine.cli.ctl.progress import Progress

_PORTION: Final = 200
_MOST_TOLD: Final = 20


def replay(arguments: argparse.Namespace, client: RestClient) -> int:
    """Send letters again; an interrupted replay goes on where it was when it is run again."""
    check_selection(arguments)
    if arguments.rate == 0:
        raise CtlError("--rate 0 sends nothing; expected at least 1", ExitCode.USAGE)
    place = f"/engine/connectors/{segment(arguments.name)}/dead-letters/replay"
    wanted = {
        "where": arguments.where, "queue": arguments.queue, "again": arguments.again,
        "topic": arguments.to,
    }  # fmt: skip
    planned = _plan(client, place, wanted)
    done: dict[str, Any] = {"replayed": 0, "confirmed": 0, "refused": [], "uncertain": 0}
    if not arguments.dry_run and planned["ready"]:
        _send(arguments, client, place, wanted, planned["ready"], done)
    done["refused"] = [*planned["refused"], *done["refused"]]
    told = planned if arguments.dry_run else {**done, "skipped": planned["skipped"]}
    if arguments.json:
        print(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        _print(told)
    return ExitCode.REFUSED if done["refused"] or done["uncertain"] else ExitCode.OK


def check_selection(arguments: argparse.Namespace) -> None:
    """What cannot be taken back is said in full.

    Raises:
        CtlError: neither some letters are named nor all, or both.
    """
    if bool(arguments.where) == arguments.all:
        raise CtlError("expected either --where or --all", ExitCode.USAGE)


def _plan(client: RestClient, place: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """What would be done."""
    skipped: dict[str, int] = {}
    refused: list[Any] = []
    after: str | None = ""
    ready, progress = 0, Progress("letters read")
    while after is not None:
        _, found = client.ask("POST", place, {**wanted, "after": after, "dry_run": True})
        ready += found["ready"]
        for reason, number in found["skipped"].items():
            skipped[reason] = skipped.get(reason, 0) + number
        refused += found["refused"][: _MOST_TOLD - len(refused)]
        after = found["next"]
        progress.show(found["seen"], found["of"], is_over=after is None)
    return {"ready": ready, "skipped": skipped, "refused": refused}


def _send(
    arguments: argparse.Namespace,
    client: RestClient,
    place: str,
    wanted: dict[str, Any],
    total: int,
    done: dict[str, Any],
) -> None:
    limit = min(_PORTION, arguments.rate or _PORTION)
    after: str | None = ""
    began, progress, handled = time.monotonic(), Progress("letters replayed"), 0
    while after is not None and not done["uncertain"]:
        _, sent = client.ask("POST", place, {**wanted, "after": after, "limit": limit})
        for name in done:
            done[name] += sent[name]
        after = sent["next"]
        before = handled
        handled = done["replayed"] + done["confirmed"] + len(done["refused"])
        progress.show(handled - before, total, is_over=after is None)
        if arguments.rate and after is not None:
            due = began + handled / arguments.rate
            threading.Event().wait(max(0.0, due - time.monotonic()))


def _print(told: dict[str, Any]) -> None:
    if "ready" in told:
        print(f"{count(told['ready'])} letters would be replayed")
    else:
        print(f"{count(told['replayed'])} letters replayed")
    if told.get("confirmed"):
        print(f"{count(told['confirmed'])} were sent by an earlier replay that was cut short")
    for reason, number in told["skipped"].items():
        print(f"{count(number)} left alone: {reason}")
    refused = told.get("refused", ())
    for each in refused[:_MOST_TOLD]:
        print(f"engine ctl: letter {each['letter']} was refused: {each['reason']}", file=sys.stderr)
    if len(refused) > _MOST_TOLD:
        print(f"engine ctl: … and {count(len(refused) - _MOST_TOLD)} more", file=sys.stderr)
    if told.get("uncertain"):
        text = "Kafka has not answered for all letters; the same command again settles them"
        print(f"engine ctl: {text} ({count(told['uncertain'])} open)", file=sys.stderr)
