"""Worker and connector files, from the disk to keys and values."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from engine.model.config_file import ConnectorConfigFile, parse_connector_file, parse_worker_file
from engine.model.properties import ConfigFileError

_SUFFIXES: Final = (".properties", ".json", ".toml")


def connector_files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files themselves, and for a directory what lies in it, by name; hidden files do not.

    Raises:
        ConfigFileError: a directory cannot be read.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        try:
            inside = sorted(path.iterdir())
        except OSError as error:
            raise ConfigFileError(f"{path}: {error.strerror}") from error
        yield from (f for f in inside if f.suffix in _SUFFIXES and not f.name.startswith("."))


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
