"""``engine kafka start|stop|status``: the embedded Apache Kafka by itself.

Exit codes: 0 done, or running; 1 it did not work; 2 wrong usage; 3 not running.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import psutil

from engine.kafka.embedded import daemon
from engine.kafka.embedded.artifacts import (
    EmbeddedKafkaError,
    OnProgress,
    bring_jars,
    find_java,
)  # fmt: skip
from engine.kafka.embedded.broker import JAR_LOCK, KAFKA_VERSION, EmbeddedKafka, read_node
from engine.kafka.embedded.jar_lock import read_jar_lock
from engine.kafka.embedded.port import answers_kafka, is_port_free

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_NOT_RUNNING: Final = 3
_USUAL_PORT: Final = 9092


def cache_dir(environ: Mapping[str, str]) -> Path:
    """Where jars are kept: ``ENGINE_CACHE_DIR``, else ``engine`` in the user's cache directory."""
    if given := environ.get("ENGINE_CACHE_DIR"):
        return Path(given)
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "engine"


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """Where ``engine kafka`` keeps its broker unless told otherwise."""
    shared = environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(shared) / "engine" / "kafka"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``kafka`` to the commands."""
    kafka = subparsers.add_parser(
        "kafka", help="run the embedded Apache Kafka", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    actions = kafka.add_subparsers(dest="action", required=True, metavar="ACTION")
    start = _add_action(actions, "start", "start it and return when it is ready", _start)
    start.add_argument(
        "--port", type=_port, metavar="P",
        help="port for clients (default: the one of the last start, at first 9092 if it is free)",
    )  # fmt: skip
    start.add_argument("--foreground", action="store_true", help="stay until Ctrl-C")
    _add_action(actions, "stop", "stop it and wait for its end", _stop)
    status = _add_action(actions, "status", "say whether it runs, and where", _status)
    status.add_argument("--json", action="store_true", help="print one JSON object")


def _add_action(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    text: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.add_argument(
        "--data-dir", type=Path, metavar="D", default=default_data_dir(os.environ),
        help="where its data is (default: %(default)s)",
    )  # fmt: skip
    parser.set_defaults(run=_reporting(run))
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"{port} is no port (1 to 65535)")
    return port


def _reporting(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    def reporting(arguments: argparse.Namespace) -> int:
        try:
            return run(arguments)
        except EmbeddedKafkaError as error:
            print(f"engine kafka: {error}", file=sys.stderr)
        except OSError as error:
            print(f"engine kafka: {error.filename}: {error.strerror}", file=sys.stderr)
        return EXIT_FAILED

    return reporting


def _start(arguments: argparse.Namespace) -> int:
    data_dir, cache = arguments.data_dir.absolute(), cache_dir(os.environ).absolute()
    running = daemon.read_state(data_dir)
    if running is not None:
        if not running.address:
            raise EmbeddedKafkaError(f"pid {running.pid} is just starting it in {data_dir}")
        if arguments.port not in (None, _port_of(running.address)):
            raise EmbeddedKafkaError(f"it runs already, at {running.address}; stop it first")
        print(f"Apache Kafka runs already at {running.address}, pid {running.pid}")
        return EXIT_OK
    port = arguments.port or _first_port(data_dir)
    with show_progress() as on_progress:
        EmbeddedKafka(data_dir, cache, port).prepare(on_progress)

    def on_ready(address: str) -> None:
        print(f"Apache Kafka {KAFKA_VERSION} is ready at {address}, data in {data_dir}", flush=True)

    if arguments.foreground:
        daemon.serve(data_dir, cache, port, on_ready)
    else:
        on_ready(daemon.spawn(data_dir, cache, port))
    return EXIT_OK


def _first_port(data_dir: Path) -> int | None:
    return _USUAL_PORT if read_node(data_dir) is None and is_port_free(_USUAL_PORT) else None


def _port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def _stop(arguments: argparse.Namespace) -> int:
    if not daemon.stop(arguments.data_dir.absolute()):
        print(f"no Apache Kafka runs in {arguments.data_dir}", file=sys.stderr)
        return EXIT_NOT_RUNNING
    print("Apache Kafka has stopped")
    return EXIT_OK


def _status(arguments: argparse.Namespace) -> int:
    data_dir = arguments.data_dir.absolute()
    found = _describe(data_dir)
    if arguments.json:
        print(json.dumps(found))
    else:
        _print_table(found)
    return EXIT_OK if found["state"] == "running" else EXIT_NOT_RUNNING


def _describe(data_dir: Path) -> dict[str, Any]:
    state, node = daemon.read_state(data_dir), read_node(data_dir)
    found: dict[str, Any] = {
        "state": "stopped", "version": KAFKA_VERSION, "data_dir": str(data_dir),
        "log_file": str(data_dir / "logs" / "kafka.log"),
        "cluster_id": node.cluster_id if node else None,
    }  # fmt: skip
    if state is None:
        return found
    found |= dataclasses.asdict(state)
    host, _, port = state.address.rpartition(":")
    if state.state == "running" and not answers_kafka(host, int(port)):
        found["state"] = "unresponsive"
    if state.kafka_pid is not None:
        with contextlib.suppress(psutil.Error):
            found["rss_bytes"] = psutil.Process(state.kafka_pid).memory_info().rss
    return found


def _print_table(found: Mapping[str, Any]) -> None:
    if not sys.stdout.isatty():
        for name, value in found.items():
            print(f"{name}\t{'' if value is None else value}")
        return
    from rich.console import Console  # noqa: PLC0415  # slow to import, wanted for people only
    from rich.table import Table  # noqa: PLC0415

    table = Table(show_header=False, box=None)
    for name, value in found.items():
        shown = f"{value >> 20} MiB" if name == "rss_bytes" else value
        table.add_row(name.replace("_", " "), "-" if shown is None else str(shown))
    Console().print(table)


@contextlib.contextmanager
def show_progress() -> Iterator[OnProgress]:
    """A bar on a terminal, one line for each thing to do elsewhere; for fetching the jars."""
    if not sys.stderr.isatty():
        yield _Lines().on_progress
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description:40.40}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("Apache Kafka", total=None)

        def on_progress(text: str, done: int, total: int) -> None:
            progress.update(bar, description=text, completed=done, total=total or None)

        yield on_progress


class _Lines:
    """Says once that something is fetched, not once a file."""

    def __init__(self) -> None:
        self._said = ""

    def on_progress(self, text: str, _done: int, total: int) -> None:
        line = f"fetching Apache Kafka ({total >> 20} MiB)" if total else text
        if line != self._said:
            print(line, file=sys.stderr, flush=True)
            self._said = line


def bring_kafka() -> None:
    """Fetch what the first start needs, where somebody can watch it.

    Raises:
        EmbeddedKafkaError: it cannot be fetched, or the extra is not installed.
    """
    find_java()
    with show_progress() as on_progress:
        bring_jars(read_jar_lock(JAR_LOCK), cache_dir(os.environ), on_progress)
