"""Names of files that belong to a connector, below the worker's data directory."""

import hashlib
from pathlib import Path
from typing import Final
from urllib.parse import quote

_LONGEST_NAME: Final = 200


def connector_file(data_dir: Path, folder: str, connector: str) -> Path:
    """``<data_dir>/<folder>/<connector>.db``, whatever the connector is called."""
    name = quote(connector, safe="")
    if len(name) > _LONGEST_NAME:
        digest = hashlib.sha256(connector.encode()).hexdigest()
        name = f"{name[: _LONGEST_NAME - len(digest)]}{digest}"
    return data_dir / folder / f"{name}.db"
