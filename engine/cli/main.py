"""The entry point: finds the subcommand and imports that one alone, so that each starts fast.

The checks of the platform come first, before anything is imported that a bare machine may lack.
An older Python, too, must be able to run this module, and its package, so far that it is told.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final

from engine import __version__

_SUBCOMMANDS: Final = {
    "standalone": ("engine.cli.standalone", "run a worker with its connectors on this machine"),
    "ctl": ("engine.cli.ctl.command", "look at and change a running engine"),
    "chaos": (
        "engine.cli.chaos.command",
        "hurt an engine, and see how long it takes to mend and what is lost",
    ),
    "doctor": ("engine.cli.doctor.command", "look for what is to be mended"),
    "state": ("engine.cli.state", "back up and restore a worker's state"),
    "kafka": ("engine.cli.kafka", "run the embedded Apache Kafka by itself"),
    "demo": ("engine.cli.demo.command", "copy a log file through Kafka and watch it"),
}
_WITHOUT_PROCESSES: Final = ("ctl", "doctor", "state")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; the value is the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    chosen = next((each for each in arguments if not each.startswith("-")), None)
    problem = platform_problem(
        sys.version_info[:2], needs_processes=chosen not in (None, *_WITHOUT_PROCESSES)
    )
    if problem:
        print(f"engine: {problem}", file=sys.stderr)
        return 1
    parsed = _parser(chosen).parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = parsed.run
    try:
        return run(parsed)
    except KeyboardInterrupt:
        return 130


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="engine", description="Kafka Connect with real processes.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"engine {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (module, text) in _SUBCOMMANDS.items():
        if name == chosen:
            import_module(module).add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=text)
    return parser


def platform_problem(version: tuple[int, ...], *, needs_processes: bool) -> str | None:
    """Why the engine cannot run here, in one line; None when it can."""
    if version < (3, 11):
        found = ".".join(str(part) for part in version)
        return f"Python 3.11 or newer is needed, this is Python {found}"
    if not needs_processes:
        return None
    if not sys.platform.startswith("linux"):
        return f"Linux 5.10 or newer is needed, this is {sys.platform}"
    try:
        fd = os.pidfd_open(os.getpid())
    except (AttributeError, OSError) as error:
        return _pidfd_problem("pidfd_open", os.uname().release, error)
    try:
        signal.pidfd_send_signal(fd, 0)  # no signal: whether one may be sent
    except OSError as error:
        return _pidfd_problem("pidfd_send_signal", os.uname().release, error)
    finally:
        os.close(fd)
    return None


def _pidfd_problem(call: str, release: str, error: Exception) -> str:
    """A kernel that has pidfd and refuses it is filtered, which is another thing to mend."""
    numbers = release.partition("-")[0].split(".")[:2]
    if [int(part) for part in numbers if part.isdigit()] >= [5, 10] and isinstance(error, OSError):
        return (
            f"{call} is refused ({error.strerror}) although this is Linux {release}: a filter"
            " of system calls (seccomp) is in the way; allow pidfd_open, pidfd_send_signal and"
            " waitid, or use a newer container runtime"
        )
    return f"Linux 5.10 or newer with pidfd is needed, this is {release}"
