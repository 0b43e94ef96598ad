"""``engine standalone WORKER CONNECTOR…``: read the files, check them, become the supervisor.

Exit codes are Kafka Connect's: 1 wrong usage, or no process can be made, 2 bad configuration or a
port that is taken, 3 a connector of the command line cannot be created; besides, 100 another engine
uses the data directory.
"""

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path

from engine.supervisor.child import HANDOVER
from engine.supervisor.launch import HeadStart, fork_herder, give_head_start

EXIT_FAILED = 1
_HERDER = ("-P", "-m", "engine.cli.herder_process")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "standalone",
        help="run a worker with its connectors on this machine",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--embedded", action="store_true", help="bring an Apache Kafka along (engine[embedded])"
    )
    parser.add_argument("worker", type=Path, help="worker file: .properties or .toml")
    parser.add_argument(
        "connector",
        type=Path,
        nargs="*",
        help="connector files: .properties, .json or .toml, or directories of them",
    )
    parser.set_defaults(run=run_standalone)


def run_standalone(arguments: argparse.Namespace) -> int:
    """Start, supervise, stop; the exit code.

    The zygote imports what it needs while this process does; the herder begins with what this one
    has, and imports the rest while this one reads its files.
    """
    try:
        head_start = None if HANDOVER in os.environ else _head_start()
    except OSError as error:
        print(f"engine: no process can be made: {error.strerror}", file=sys.stderr)
        return EXIT_FAILED
    try:
        from engine.cli.standalone_start import start  # noqa: PLC0415 (after the head start)

        return start(arguments, _HERDER, head_start)
    finally:
        if head_start is not None:
            head_start.end()


def _head_start() -> HeadStart:
    gc.disable()  # until all is imported: it would look through modules, of which none goes away
    head_start = give_head_start()
    import_module("engine.cli.standalone_start")  # two thirds of what the herder needs are in it
    head_start.start_herder(partial(fork_herder, _be_herder))
    return head_start


def _be_herder(argv: Sequence[str]) -> int:
    from engine.cli.herder_process import main  # noqa: PLC0415 (nothing of it for the supervisor)

    return main(argv)
