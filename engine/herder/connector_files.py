"""Reading the connector files of the command line again, while everything runs.

What changed is applied; a connector whose file is broken, or whose new configuration is refused,
stays as it is. A worker's own keys reach only what starts anew, so changes of those are told.
"""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path

from engine.api.errors import ConnectError
from engine.herder.worker_connectors import WorkerConnectors
from engine.model.config_file import ConnectorConfigFile
from engine.model.properties import ConfigFileError
from engine.model.state import TargetState
from engine.storage.config_file import connector_files, read_connector_file, read_worker_file
from engine.wire.herder_message import HerderBoot, Reloaded
from engine.wire.log_sequence import get_logger


class ConnectorFiles:
    """The files of a command line, and the connectors that are to be as they say.

    Args:
        boot: what this herder began with; names the files.
    """

    def __init__(self, boot: HerderBoot, connectors: WorkerConnectors) -> None:
        self._boot = boot
        self._connectors = connectors
        self._lock = asyncio.Lock()

    async def reload(self) -> Reloaded:
        """Read and apply; one at a time."""
        async with self._lock:
            return await self._run()

    async def _run(self) -> Reloaded:
        files, problems = self._read()
        is_whole = not problems  # else nobody knows whom the others name
        outcomes = await asyncio.gather(*(self._apply(file) for file in files))
        changed = {
            file.name: outcome
            for file, outcome in zip(files, outcomes, strict=True)
            if outcome in ("created", "updated")
        }
        problems += [
            f"connector {file.name}: {outcome}"
            for file, outcome in zip(files, outcomes, strict=True)
            if isinstance(outcome, ConnectError)
        ]
        if is_whole:
            changed |= await self._delete_all_but({file.name for file in files})
        reloaded = Reloaded(changed, tuple(problems), tuple(self._for_next_start()))
        _log(reloaded)
        return reloaded

    def _read(self) -> tuple[list[ConnectorConfigFile], list[str]]:
        files: dict[str, ConnectorConfigFile] = {}
        problems: list[str] = []
        for path in self._paths(problems):
            try:
                read = read_connector_file(path)
            except ConfigFileError as error:
                problems.append(str(error))
                continue
            if read.name in files:
                problems.append(f"{path}: connector {read.name} has another file already")
            files.setdefault(read.name, read)
        return list(files.values()), problems

    def _paths(self, problems: list[str]) -> list[Path]:
        try:
            return list(connector_files(map(Path, self._boot.connector_paths)))
        except ConfigFileError as error:
            problems.append(str(error))
            return []

    async def _apply(self, file: ConnectorConfigFile) -> ConnectError | str:
        """``unchanged``, ``created`` or ``updated``; or why the connector stays as it was."""
        config = {**file.config, "name": file.name}
        present = self._connectors.get(file.name)
        if present is not None and present.stored.config == config:
            return "unchanged"
        initial = file.initial_state or TargetState.STARTED
        try:
            is_new = await self._connectors.put(
                file.name, config, initial_state=initial, origin="file"
            )
        except ConnectError as error:
            return error
        return "created" if is_new else "updated"

    async def _delete_all_but(self, named: set[str]) -> Mapping[str, str]:
        """Connectors of the command line live only while they are named there."""
        leaving = [e.name for e in self._connectors if e.stored.origin == "file"]
        gone = [name for name in leaving if name not in named]
        await asyncio.gather(*(self._connectors.delete(name) for name in gone))
        return dict.fromkeys(gone, "deleted")

    def _for_next_start(self) -> Iterator[str]:
        """Keys of the worker whose values in the file are not those that the engine runs with."""
        if not self._boot.worker_path:
            return
        try:
            now = read_worker_file(Path(self._boot.worker_path))
        except ConfigFileError as error:
            yield str(error)
            return
        then = self._boot.worker
        for key in sorted({*now, *then} - {*self._boot.fixed_keys}):
            if now.get(key) != then.get(key):
                path = self._boot.worker_path
                yield f"{key} has changed in {path}; engine ctl upgrade applies it"


def _log(reloaded: Reloaded) -> None:
    log = get_logger(__name__)
    for name, outcome in reloaded.changed.items():
        log.info(f"connector {outcome} by its file", connector=name)
    for problem in reloaded.problems:
        log.error("not reloaded", problem=problem)
    for change in reloaded.pending:
        log.warning("not applied by a reload", change=change)
