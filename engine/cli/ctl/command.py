"""``engine ctl``: look at a running engine and change it, over its REST API.

Works with any Kafka Connect worker as far as that one answers the same questions.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any, Final

from engine.cli.ctl.client import CtlError, RestClient, fail
from engine.cli.ctl.dlq_arguments import add_dead_letter_actions
from engine.cli.ctl.exit_code import ExitCode, help_text

DEFAULT_URL: Final = "http://127.0.0.1:8083"
_DEFAULT_TIMEOUT: Final = 30.0

Run = Callable[[argparse.Namespace, RestClient], int]


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``ctl`` to the commands."""
    ctl = subparsers.add_parser(
        "ctl",
        help="look at and change a running engine",
        description=__doc__,
        epilog=help_text(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_common(ctl, is_top=True)
    actions = ctl.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_reading(actions)
    _add_changing(actions)
    _add_dead_letters(actions)


def _add_reading(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    status = _action(actions, "status", "connectors and tasks, the worst first", "status")
    status.add_argument("name", nargs="?", metavar="NAME", help="only this connector")
    _action(actions, "list", "names of the connectors", "list_names")
    describe = _action(actions, "describe", "all about one connector", "describe")
    describe.add_argument("name", metavar="NAME")
    logs = _action(actions, "logs", "what the tasks of a connector log", "logs")
    logs.add_argument("name", metavar="NAME")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    logs.add_argument("--task", type=_whole, metavar="N", help="only this task")
    logs.add_argument(
        "--tail", type=_whole, default=100, metavar="K", help="last K events first (default 100)"
    )
    explain = _action(
        actions, "explain", "why a task died, and what to do about it", "explain", "explain"
    )
    explain.add_argument("task", metavar="TASK", help="NAME-0, or NAME for all of a connector")
    explain.add_argument(
        "--lines", type=_whole, default=40, metavar="K",
        help="last K lines of its output (default 40, 0 for none)",
    )  # fmt: skip
    loggers = _action(
        actions, "loggers", "how much is logged, by the worker or a connector's tasks", "loggers",
        "levels",
    )  # fmt: skip
    loggers.add_argument("name", nargs="?", metavar="NAME", help="the tasks of this connector")
    events = _action(
        actions, "events", "what happened to connectors and tasks, and why", "events", "events"
    )
    events.add_argument("name", nargs="?", metavar="NAME", help="only this connector")
    events.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")
    events.add_argument("--task", metavar="TASK", help="only this task: NAME-0, or 0 after a NAME")
    events.add_argument(
        "--tail", type=_whole, default=100, metavar="K", help="last K events first (default 100)"
    )


def _add_changing(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    apply = _action(actions, "apply", "create connectors, or change them, as files say", "apply")
    apply.add_argument(
        "-f", "--file", action="append", required=True, metavar="FILE", dest="files",
        help=".properties, .json or .toml; may be given several times",
    )  # fmt: skip
    upgrade = _action(
        actions,
        "upgrade",
        "let the installed version take over; tasks go on undisturbed",
        "upgrade",
    )
    upgrade.add_argument(
        "--wait", type=_seconds, default=180.0, metavar="SECONDS",
        help="how long to wait for its end (default 180)",
    )  # fmt: skip
    _action(actions, "reload", "read the connector files of the command line again", "reload")
    for name, text in (
        ("delete", "stop connectors for good and forget their configurations"),
        ("pause", "pause connectors; their processes stay"),
        ("resume", "let connectors go on"),
        ("stop", "stop connectors; their processes end, their configurations stay"),
    ):
        action = _action(actions, name, text, name)
        action.add_argument("names", nargs="+", metavar="NAME")
    level = _action(
        actions, "level", "change how much is logged, until the engine ends", "set_level",
        "levels",
    )  # fmt: skip
    level.add_argument("level", metavar="LEVEL", help="OFF, ERROR, WARN, INFO, DEBUG or TRACE")
    level.add_argument("name", nargs="?", metavar="NAME", help="only for tasks of this connector")
    level.add_argument("--logger", default="root", help="only this one and those below it")
    restart = _action(
        actions, "restart", "restart a connector; its tasks only where told so", "restart"
    )
    restart.add_argument("name", metavar="NAME")
    restart.add_argument("--task", type=_whole, metavar="N", help="only this task")
    restart.add_argument("--only-failed", action="store_true", help="only what has FAILED")
    restart.add_argument("--include-tasks", action="store_true", help="the tasks as well")


def _add_dead_letters(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "records that were given up: look at them, change them, send them again"
    letters = actions.add_parser("dlq", help=text, description=f"{text}.", allow_abbrev=False)
    _add_common(letters, is_top=False)
    add_dead_letter_actions(
        letters.add_subparsers(title="actions", metavar="ACTION", required=True), _action
    )


def _action(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    text: str,
    function: str,
    module: str = "actions",
) -> argparse.ArgumentParser:
    """An action; what it does is imported when it is done, so that help comes at once."""
    action = actions.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=help_text(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_common(action, is_top=False)

    def run(arguments: argparse.Namespace) -> int:
        found = importlib.import_module(f"engine.cli.ctl.{module}")
        return _run(getattr(found, function), arguments)

    action.set_defaults(run=run)
    return action


def _add_common(parser: argparse.ArgumentParser, *, is_top: bool) -> None:
    """Options that may stand before the action or behind it."""

    def default(value: Any) -> Any:
        return value if is_top else argparse.SUPPRESS

    parser.add_argument(
        "--json",
        action="store_true",
        default=default(False),
        help="answer in JSON",
    )
    parser.add_argument(
        "--url", default=default(os.environ.get("ENGINE_URL") or DEFAULT_URL), metavar="URL",
        help=f"REST API of the engine (default: $ENGINE_URL, else {DEFAULT_URL})",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=_seconds, default=default(_DEFAULT_TIMEOUT), metavar="SECONDS",
        help=f"how long to wait for an answer (default {_DEFAULT_TIMEOUT:g})",
    )  # fmt: skip


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text} is no whole number")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is no time in seconds")
    return value


def _run(run: Run, arguments: argparse.Namespace) -> int:
    """Do it; one line on standard error when it cannot be done."""
    try:
        code = run(arguments, RestClient(arguments.url, arguments.timeout))
        sys.stdout.flush()
    except CtlError as error:
        return fail(error)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    return code
