"""``engine state``: copies of a worker's state, made while it runs, and put back while it does not.

In a backup are configurations with their histories, offsets of sources, statuses, dead letters, the
journal, and what the supervisor remembers of tasks; not in it are logs, an embedded broker's data,
and what sinks have committed, which Kafka keeps. Exit codes: 0 done, 1 it cannot be done, 2 wrong
arguments or a bad worker file, 100 an engine uses the data directory.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.api.errors import ConfigError
from engine.cli.worker import BadStartError, read_worker
from engine.storage.backup import BackupError, Manifest, back_up, read_manifest, restore
from engine.supervisor.instance import EXIT_ALREADY_RUNNING, AlreadyRunningError, held


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command and its actions."""
    parser = subparsers.add_parser(
        "state",
        help="back up and restore a worker's configurations, offsets and statuses",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    make = actions.add_parser("backup", help="copy the state into a file; the engine may run")
    _add_worker(make)
    make.add_argument("file", type=Path, help="a .tar.gz that is not there yet")
    make.set_defaults(run=_backup)
    put = actions.add_parser("restore", help="put a backup back; the engine must not run")
    _add_worker(put)
    put.add_argument("file", type=Path, help="a backup")
    put.set_defaults(run=_restore)
    show = actions.add_parser("show", help="what is in a backup")
    show.add_argument("file", type=Path, help="a backup")
    show.set_defaults(run=_show)
    for action in (make, put, show):
        action.add_argument("--json", action="store_true", help="answer in JSON")


def _add_worker(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("worker", type=Path, help="worker file; says where the state is")


def _backup(arguments: argparse.Namespace) -> int:
    return _done(arguments, lambda: _backed_up(arguments))


def _backed_up(arguments: argparse.Namespace) -> dict[str, Any]:
    data_dir = read_worker(arguments.worker).data_dir
    manifest = back_up(data_dir, arguments.file)
    text = f"{_summary(manifest)} of {data_dir} are in {arguments.file}"
    if (data_dir / "kafka").exists():
        text += "; the embedded broker's data is not: Kafka's own tools copy it"
    return {"text": text, **_json(manifest)}


def _restore(arguments: argparse.Namespace) -> int:
    return _done(arguments, lambda: _restored(arguments))


def _restored(arguments: argparse.Namespace) -> dict[str, Any]:
    data_dir = read_worker(arguments.worker).data_dir
    try:
        data_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
        with held(data_dir):
            manifest, aside = restore(arguments.file, data_dir)
    except OSError as error:
        raise BackupError(f"{data_dir}: {error.strerror}") from error
    text = f"{_summary(manifest)}, backed up at {manifest.made_at}, are in {data_dir}"
    if aside is not None:
        text += f"; what was there is in {aside}"
    return {"text": text, "aside": aside and str(aside), **_json(manifest)}


def _show(arguments: argparse.Namespace) -> int:
    def show() -> dict[str, Any]:
        manifest = read_manifest(arguments.file)
        lines = [f"{each.size:>12,}  {each.name}" for each in manifest.files]
        head = f"{manifest.data_dir} at {manifest.made_at}, by engine {manifest.engine}"
        return {"text": "\n".join((head, *lines)), **_json(manifest)}

    return _done(arguments, show)


def _done(arguments: argparse.Namespace, do: Callable[[], dict[str, Any]]) -> int:
    try:
        outcome = do()
    except AlreadyRunningError as error:
        return _say(f"{error}; stop it first", EXIT_ALREADY_RUNNING)
    except BackupError as error:
        return _say(error, 1)
    except (BadStartError, ConfigError) as error:
        return _say(error, 2)
    text = outcome.pop("text")
    print(json.dumps(outcome, indent=2) if arguments.json else text)
    return 0


def _say(text: object, code: int) -> int:
    print(f"engine state: {text}", file=sys.stderr)
    return code


def _summary(manifest: Manifest) -> str:
    size = sum(each.size for each in manifest.files)
    return f"{len(manifest.files)} files, {size / (1 << 20):,.1f} MiB"


def _json(manifest: Manifest) -> dict[str, Any]:
    files = [{"name": f.name, "size": f.size, "sha256": f.sha256} for f in manifest.files]
    return {"engine": manifest.engine, "made_at": manifest.made_at, "files": files}
