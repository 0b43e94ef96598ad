"""``engine doctor [WORKER]``: look at everything, say what is to be mended and how.

Without a worker's file the machine is looked at, and the engine that runs on it, if one does.
Exit codes: 0 nothing to mend, 1 warnings, 2 wrong arguments, 3 problems that keep it from working.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from engine.cli.ctl.client import CtlError, RestClient
from engine.cli.ctl.command import DEFAULT_URL
from engine.cli.ctl.output import terminal
from engine.cli.doctor import worker as worker_checks
from engine.cli.doctor.bundle import pack
from engine.cli.doctor.data_dir import data_directory
from engine.cli.doctor.finding import (
    ExitCode,
    Finding,
    exit_code,
    findings_json,
    findings_text,
    problem,
)  # fmt: skip
from engine.cli.doctor.machine import machine
from engine.cli.doctor.subject import subject_of
from engine.cli.worker import Worker

_TASKS: Final = 100
_PATIENCE: Final = 5.0


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "doctor",
        help="look for what is to be mended, on this machine and in a worker's file",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("worker", type=Path, nargs="?", help="worker file: .properties or .toml")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    parser.add_argument(
        "--tasks", type=int, default=_TASKS, metavar="N",
        help=f"for how many tasks the machine is to be enough (default {_TASKS})",
    )  # fmt: skip
    parser.add_argument(
        "--url", default=os.environ.get("ENGINE_URL"), metavar="URL",
        help="REST API of the running engine (default: $ENGINE_URL, else the worker file's)",
    )  # fmt: skip
    parser.add_argument(
        "--bundle", type=Path, metavar="FILE",
        help="pack what a maintainer needs, without secrets, into this .tar.gz",
    )  # fmt: skip
    parser.set_defaults(run=run_doctor)


def run_doctor(arguments: argparse.Namespace) -> int:
    """Look, print, pack; the exit code."""
    worker, of_file = _worker(arguments.worker)
    url = arguments.url or _url(worker)
    findings = list(examine(worker, of_file, url, arguments.tasks))
    if arguments.json:
        print(json.dumps(findings_json(findings), ensure_ascii=False, indent=2))
    else:
        print(findings_text(findings, terminal()))
    if arguments.bundle is not None:
        return _bundle(arguments.bundle, worker, url, findings)
    return exit_code(findings)


def _bundle(path: Path, worker: Worker | None, url: str, findings: list[Finding]) -> int:
    try:
        pack(path, worker, url, findings)
    except OSError as error:
        print(f"engine doctor: {path}: {error.strerror}", file=sys.stderr)
        return ExitCode.USAGE
    print(f"engine doctor: {path} holds what was found; look through it", file=sys.stderr)
    return exit_code(findings)


def examine(
    worker: Worker | None, of_file: list[Finding], url: str, tasks_wanted: int
) -> Iterator[Finding]:
    """All findings, in the order in which things depend on each other.

    Args:
        of_file: what was found when the worker's file was read.
        url: where an engine may run.
        tasks_wanted: for how many tasks the machine is to be enough.
    """
    state, tasks = ask_engine(url)
    subject = subject_of(state["supervisor_pid"] if state else None)
    yield from machine(subject, max(tasks_wanted, len(tasks)))
    yield from of_file
    if worker is not None:
        yield from _guarded("data directory", lambda: list(data_directory(worker.data_dir)))
        yield from _guarded("port", lambda: [worker_checks.port(worker, state is not None)])
        yield from _guarded("broker", lambda: [worker_checks.broker(worker)])
    preload = worker.config.zygote_preload if worker else ()
    yield from _guarded("zygote", lambda: [worker_checks.zygote(preload)])
    yield from _guarded("plugins", lambda: list(worker_checks.plugins()))
    if state is not None:
        yield from worker_checks.running(state, tasks)


def _worker(path: Path | None) -> tuple[Worker | None, list[Finding]]:
    return (None, []) if path is None else worker_checks.read(path)


def _guarded(check: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    """One check that fails in a way nobody thought of does not keep the others from looking."""
    try:
        return look()
    except Exception as error:  # noqa: BLE001 (a border: whatever happened is told)
        text = f"this check itself failed: {type(error).__name__}: {error}"
        return [problem(check, text, "engine doctor --bundle engine.tar.gz, and report it")]


def _url(worker: Worker | None) -> str:
    if worker is None:
        return DEFAULT_URL
    host = worker.host if worker.host not in ("", "0.0.0.0", "::") else "127.0.0.1"  # noqa: S104
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{worker.port}"


def ask_engine(url: str) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """What the running engine says of itself and of its tasks; None when none answers."""
    try:
        client = RestClient(url, _PATIENCE)
        return client.get("/engine/worker"), client.get("/engine/tasks")
    except CtlError:
        return None, []
