"""``engine chaos``: hurt an engine at random times, and tell how long it takes to be well again.

Without --url it starts an engine of its own: an Apache Kafka, file sources and file sinks over
numbered lines, in a directory of its own; so it can tell what was lost and what came twice. With
--url it hurts the tasks, the herder and the zygote of an engine that runs on this machine.

How often: 3 is three times in all, 6/min six times a minute. Where no fault is named, there is a
mix of them.
"""

import argparse
import secrets
import sys
from pathlib import Path
from typing import Final

from engine.cli.chaos.fault import Fault
from engine.cli.chaos.plan import Mix, PlanError, default_mix, parse_amount, parse_kill, refusals
from engine.cli.chaos.report import ExitCode, help_text

_DEFAULT: Final = "default"
_MINUTES: Final = 3.0
_OPTIONS: Final = {
    "stop": (Fault.STOP, "SIGSTOP for a task, which hangs then and is found by its heartbeat"),
    "oom": (Fault.OOM, "a task uses more memory than its limit"),
    "disk_full": (Fault.DISK_FULL, "no room for 3 s on the disk of the engine's state and outputs"),
    "broker_restart": (Fault.BROKER_RESTART, "the engine's own Apache Kafka ends and comes back"),
}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "chaos", help="hurt an engine, and see how long it takes to mend and what is lost",
        description=__doc__, epilog=help_text(), allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    _add_faults(parser.add_argument_group("faults"))
    parser.add_argument(
        "--minutes", type=_minutes, default=_MINUTES, metavar="N",
        help="how long faults come (default %(default)g)",
    )  # fmt: skip
    parser.add_argument("--seed", type=_seed, metavar="N", help="the same faults once more")
    parser.add_argument("--url", metavar="URL", help="REST API of the engine that is to be hurt")
    parser.add_argument("--yes", action="store_true", help="with --url: do not ask")
    parser.add_argument(
        "--patience", type=_seconds, default=60.0, metavar="SECONDS",
        help="how long everything may take to be well again in the end (default %(default)g)",
    )  # fmt: skip
    parser.add_argument(
        "--json", nargs="?", const="-", metavar="FILE",
        help="answer in JSON; with FILE write that besides",
    )  # fmt: skip
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be done when, and do nothing"
    )
    own = parser.add_argument_group("an engine of its own")
    own.add_argument(
        "--tasks", type=_tasks, default=6, metavar="N",
        help="how many, half of them sources, half sinks (default %(default)s)",
    )  # fmt: skip
    own.add_argument(
        "--rate", type=_seconds, default=200.0, metavar="N",
        help="lines a second for each source (default %(default)g)",
    )  # fmt: skip
    own.add_argument(
        "--data-dir", type=Path, metavar="D",
        help="where to keep everything (default: a temporary directory, kept when something fails)",
    )  # fmt: skip
    parser.set_defaults(run=run_chaos)


def _add_faults(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--kill", nargs="?", const=_DEFAULT, metavar="HOW",
        help="SIGKILL: 6/min for tasks, or task=6/min,herder=2,zygote=1,supervisor=1,broker=1",
    )  # fmt: skip
    for name, (_, text) in _OPTIONS.items():
        option = f"--{name.replace('_', '-')}"
        group.add_argument(option, nargs="?", const=_DEFAULT, metavar="HOW", help=text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0


def _minutes(text: str) -> float:
    if not 0 < (value := _number(text)) <= 10_000:
        raise argparse.ArgumentTypeError(f"{text} is no number of minutes above 0")
    return value


def _seconds(text: str) -> float:
    if not 0 < (value := _number(text)) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text} is no number above 0")
    return value


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text} is no whole number")
    return int(text)


def _tasks(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 2 <= int(text) <= 1000 and not int(text) % 2):
        raise argparse.ArgumentTypeError(f"{text} is no even number from 2 to 1000")
    return int(text)


def mix_of(arguments: argparse.Namespace) -> Mix:
    """What is asked for, or the default.

    Raises:
        PlanError: it cannot be understood, or is not for a running engine.
    """
    is_live = arguments.url is not None
    found = dict(_kills(arguments.kill, is_live=is_live))
    for name, (fault, _) in _OPTIONS.items():
        text = getattr(arguments, name)
        if text == _DEFAULT:
            found.update(default_mix([fault], is_live=is_live, is_named=True))
        elif text is not None:
            found[fault] = parse_amount(text, f"--{name.replace('_', '-')}")
    if not found:
        return default_mix(Fault, is_live=is_live)
    if is_live and (problems := refusals(found)):
        raise PlanError("; ".join(problems))
    return found


def _kills(text: str | None, *, is_live: bool) -> Mix:
    if text is None:
        return {}
    kills = [fault for fault in Fault if fault.startswith("kill:")]
    return default_mix(kills, is_live=is_live) if text == _DEFAULT else parse_kill(text)


def run_chaos(arguments: argparse.Namespace) -> int:
    """Plan, ask, hurt, report; the exit code."""
    try:
        mix = mix_of(arguments)
    except PlanError as error:
        print(f"engine chaos: {error}", file=sys.stderr)
        return ExitCode.USAGE
    if arguments.seed is None:
        arguments.seed = secrets.randbelow(1_000_000)
    from engine.cli.chaos import session  # noqa: PLC0415 (help comes at once)

    return session.run(arguments, mix)
