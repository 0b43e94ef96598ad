"""``engine ctl dlq purge``: dead letters taken away for good."""

import argparse
import json
from typing import Any

from engine.cli.ctl.client import CtlError, RestClient, segment
from engine.cli.ctl.dlq_replay import check_selection
from engine.cli.ctl.exit_code import ExitCode
from engine.cli.ctl.output import count
from engine.cli.ctl.progress import Progress

_HELD = (
    "{held} of {matched} letters cannot be purged: a topic can lose nothing but its beginning, and "
    "they stand behind letters that are to stay (in partition {partitions}). Nothing was purged; "
    "a condition like number<N in its place takes the beginning of a partition, "
    "--queue file the letters in the worker's file alone."
)
_CUT = (
    "partition {partition} of the topic {is_cut} before offset {before}: what stood there is gone "
    "for everybody who reads it"
)


def purge(arguments: argparse.Namespace, client: RestClient) -> int:
    """Take letters away, all that are meant or none."""
    check_selection(arguments)
    place = f"/engine/connectors/{segment(arguments.name)}/dead-letters/purge"
    wanted = {"where": arguments.where, "queue": arguments.queue}
    planned = _go_through(client, place, {**wanted, "dry_run": True})
    held = planned["matched"] - planned["purgeable"]
    if held and not arguments.dry_run:
        partitions = ", ".join(map(str, planned["held"]))
        raise CtlError(
            _HELD.format(
                held=count(held), matched=count(planned["matched"]), partitions=partitions
            ),
            ExitCode.REFUSED,
        )
    told = planned if arguments.dry_run else _go_through(client, place, wanted)
    if arguments.json:
        print(json.dumps(told, ensure_ascii=False, indent=2))
    elif arguments.dry_run:
        print(f"{count(told['matched'])} letters would be purged")
        if held:
            print(f"{count(held)} of them cannot be: letters that are to stay stand before them")
    else:
        print(f"{count(told['purged'])} letters purged")
    if not arguments.json:
        is_cut = "would be cut" if arguments.dry_run else "is cut"
        for partition, before in told["cuts"].items():
            print(_CUT.format(partition=partition, is_cut=is_cut, before=before))
    return ExitCode.OK


def _go_through(client: RestClient, place: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """One walk over all letters."""
    name = "purgeable" if wanted.get("dry_run") else "purged"
    total: dict[str, Any] = {"matched": 0, name: 0, "held": [], "cuts": {}}
    after: str | None = ""
    progress = Progress("letters read")
    while after is not None:
        asked = {**wanted, "after": after, "held": total["held"]}
        _, found = client.ask("POST", place, asked)
        total["matched"] += found["matched"]
        total[name] += found[name]
        total["held"] = found["held"]
        total["cuts"] |= found["cuts"]
        after = found["next"]
        progress.show(found["seen"], found["of"], is_over=after is None)
    return total
