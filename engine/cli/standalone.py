"""``engine standalone WORKER CONNECTOR…``: read the files, check them, become the supervisor.

Exit codes are Kafka Connect's: 1 wrong usage, or no process can be made, 2 bad configuration or a
port that is taken, 3 a connector of the command line cannot be created; besides, 100 another engine
uses the data directory.
"""

import argparse
import os
import sys
from pathlib import Path

from engine.supervisor.child import HANDOVER
from engine.supervisor.launch import give_head_start

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

    The zygote and the herder import what they need while this process reads its files and imports
    what it needs itself.
    """
    try:
        head_start = None if HANDOVER in os.environ else give_head_start(_HERDER)
    except OSError as error:
        print(f"engine: no process can be made: {error.strerror}", file=sys.stderr)
        return EXIT_FAILED
    try:
        from engine.cli.standalone_start import start  # noqa: PLC0415 (after the head start)

        return start(arguments, _HERDER, head_start)
    finally:
        if head_start is not None:
            head_start.end()
