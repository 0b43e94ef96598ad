"""Names of files that belong to a connector, below the worker's data directory."""

from pathlib import Path

from engine.model.task_id import file_stem


def connector_file(data_dir: Path | str, folder: str, connector: str) -> str:
    """``<data_dir>/<folder>/<connector>.db``, whatever the connector is called."""
    return f"{data_dir}/{folder}/{file_stem(connector)}.db"
