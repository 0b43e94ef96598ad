"""Names of files that belong to a connector, below the worker's data directory."""

from pathlib import Path

from engine.model.task_id import file_stem


def connector_file(data_dir: Path, folder: str, connector: str) -> Path:
    """``<data_dir>/<folder>/<connector>.db``, whatever the connector is called."""
    return Path(connector_file_name(data_dir, folder, connector))


def connector_file_name(data_dir: Path | str, folder: str, connector: str) -> str:
    """The same as a text: path objects cost a task's start more than the rest of it."""
    return f"{data_dir}/{folder}/{file_stem(connector)}.db"
