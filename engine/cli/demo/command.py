"""``engine demo [FILE]``: a log file through a real Apache Kafka into another file, watched live.

Exit codes: 0 all is well; 1 something failed, or with --exit-when-done lines are missing; 2 wrong
usage; 130 interrupted before --exit-when-done was done.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engine.cli.demo.work import DemoError, WorkDir, default_work_dir

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130

_USUAL_PORT: Final = 8083
_LINES_WHEN_DONE: Final = 20_000
_LINES_MOST: Final = 10_000_000


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "demo", help="copy a log file through Kafka and watch it", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument(
        "file", nargs="?", type=Path, metavar="FILE",
        help="the file to copy (default: a log that the demo writes as it goes)",
    )  # fmt: skip
    parser.add_argument(
        "--exit-when-done", action="store_true",
        help="end when every line has arrived; exit code 0 says that the contents were compared",
    )  # fmt: skip
    parser.add_argument(
        "--lines", type=_positive, metavar="N",
        help=f"how many lines to write without FILE (default: {_LINES_WHEN_DONE:,} with "
        f"--exit-when-done, else {_LINES_MOST:,})",
    )  # fmt: skip
    parser.add_argument(
        "--keep", action="store_true", help="go on where the last run ended; do not begin anew"
    )
    parser.add_argument(
        "--data-dir", type=Path, metavar="D", default=default_work_dir(os.environ),
        help="where everything is kept (default: %(default)s)",
    )  # fmt: skip
    parser.set_defaults(run=run_demo)


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text} is no positive whole number")
    return int(text)


def run_demo(arguments: argparse.Namespace) -> int:
    """Run it; the exit code."""
    problem = _misuse(arguments.file, arguments.lines)
    if problem:
        return _say(problem, EXIT_USAGE)
    from engine.cli.child_engine import ChildEngineError  # noqa: PLC0415 (help comes at once)
    from engine.cli.demo.run import DemoRun  # noqa: PLC0415 (the same)
    from engine.cli.interrupts import Interrupts  # noqa: PLC0415 (the same)

    source = None if arguments.file is None else arguments.file.absolute()
    try:
        work = WorkDir(arguments.data_dir, source)
        _bring_kafka()
        port = _free_port(lambda text: print(f"engine demo: {text}", file=sys.stderr))
        work.prepare(keep=arguments.keep, port=port)
        most = arguments.lines or (_LINES_WHEN_DONE if arguments.exit_when_done else _LINES_MOST)
        with Interrupts() as interrupts:
            run = DemoRun(work.paths, port, most if work.is_own_log else None, interrupts)
            run.run(exits_when_done=arguments.exit_when_done)
    except (DemoError, ChildEngineError) as error:
        return _say(error, EXIT_FAILED)
    print(run.summary)
    if not run.is_good:
        return EXIT_FAILED
    return EXIT_INTERRUPTED if arguments.exit_when_done and not run.is_done else EXIT_OK


def _say(text: object, code: int) -> int:
    print(f"engine demo: {text}", file=sys.stderr)
    return code


def _misuse(file: Path | None, lines: int | None) -> str | None:
    """Why this cannot be meant so; None when it can."""
    if file is None:
        return None
    if lines is not None:
        return "--lines is for the log that the demo writes; FILE has the lines that it has"
    if not file.exists():
        return f"{file}: there is no such file"
    if not file.is_file():
        return f"{file}: not a file"
    if not os.access(file, os.R_OK):
        return f"{file}: this user may not read it"
    return None


def _bring_kafka() -> None:
    from engine.cli.kafka import bring_kafka  # noqa: PLC0415 (help comes at once)
    from engine.kafka.embedded.artifacts import EmbeddedKafkaError  # noqa: PLC0415 (the same)

    try:
        bring_kafka()
    except EmbeddedKafkaError as error:
        raise DemoError(str(error)) from error
    except KeyboardInterrupt:
        raise DemoError("interrupted; what was fetched is kept") from None


def _free_port(tell: Callable[[str], None]) -> int:
    """The REST API's usual port, or another one when that is taken."""
    from engine.kafka.embedded.port import choose_port, holder_of, is_port_free  # noqa: PLC0415

    if is_port_free(_USUAL_PORT):
        return _USUAL_PORT
    try:
        port = choose_port()
    except OSError as error:
        raise DemoError(f"port {_USUAL_PORT} is taken, and {error}") from error
    holder = holder_of(_USUAL_PORT)
    by = f" by {holder}" if holder else ""
    tell(f"port {_USUAL_PORT} is taken{by}; the REST API is at port {port}")
    return port
