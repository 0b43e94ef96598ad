"""Worker and connector files, from the disk to keys and values."""

from pathlib import Path

from engine.model.config_file import ConnectorConfigFile, parse_connector_file, parse_worker_file
from engine.model.properties import ConfigFileError


def read_worker_file(path: Path) -> dict[str, str]:
    """The worker's keys and values.

    Raises:
        ConfigFileError: the file cannot be read or understood.
    """
    return parse_worker_file(_read(path), str(path))


def read_connector_file(path: Path) -> ConnectorConfigFile:
    """The connector that the file describes.

    Raises:
        ConfigFileError: the file cannot be read or understood, or names no connector.
    """
    return parse_connector_file(_read(path), str(path))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigFileError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigFileError(f"{path}: not UTF-8 at byte {error.start}") from error
