"""Names of files that belong to a connector, below the worker's data directory."""

from pathlib import Path

from engine.model.task_id import file_stem


def connector_file(data_dir: Path, folder: str, connector: str) -> Path:
    """``<data_dir>/<folder>/<connector>.db``, whatever the connector is called."""
    return data_dir / folder / f"{file_stem(connector)}.db"
