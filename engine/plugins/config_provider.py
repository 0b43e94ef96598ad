"""Config providers: values from properties files, directories, the environment, as in Kafka.

And, beyond Kafka, from the credentials that a service manager has given to the service.
"""

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from engine.api.config import nearest
from engine.api.config_provider import ConfigData, ConfigProvider
from engine.api.errors import ConfigError
from engine.model.properties import ConfigFileError, parse_properties

_NOTHING = ConfigData({})


class _AllowedPaths:
    """What ``allowed.paths`` allows: everything when it is not set."""

    def __init__(self, config: Mapping[str, str]) -> None:
        listed = [p.strip() for p in config.get("allowed.paths", "").split(",") if p.strip()]
        for path in listed:
            if not Path(path).is_absolute():
                raise ConfigError({"allowed.paths": f"Path {path} is not absolute"})
            if not Path(path).exists():
                raise ConfigError({"allowed.paths": f"Path {path} does not exist"})
        self._allowed = [Path(path).resolve() for path in listed]

    def allow(self, path: Path) -> bool:
        """Whether the path may be read; links are followed first."""
        if not self._allowed:
            return True
        real = path.resolve()
        return any(real.is_relative_to(allowed) for allowed in self._allowed)


class FileConfigProvider(ConfigProvider):
    """``${file:/etc/secrets.properties:password}``: a key of a properties file."""

    def configure(self, config: Mapping[str, str]) -> None:
        """Take ``allowed.paths``."""
        self._paths = _AllowedPaths(config)

    def get(self, path: str, keys: Collection[str] | None = None) -> ConfigData:
        """The file's values."""
        if not path or not self._paths.allow(Path(path)):
            return _NOTHING
        try:
            text = Path(path).read_text(encoding="utf-8")
            values = parse_properties(text, path)
        except (OSError, UnicodeDecodeError, ConfigFileError) as error:
            raise ConfigError(f"Could not read properties from file {path}: {error}") from error
        return ConfigData(_of(values, keys))


class DirectoryConfigProvider(ConfigProvider):
    """``${directory:/run/secrets:password}``: the contents of a file in a directory."""

    def configure(self, config: Mapping[str, str]) -> None:
        """Take ``allowed.paths``."""
        self._paths = _AllowedPaths(config)

    def get(self, path: str, keys: Collection[str] | None = None) -> ConfigData:
        """The contents of the directory's files, by name."""
        directory = Path(path)
        if not path or not self._paths.allow(directory) or not directory.is_dir():
            return _NOTHING
        try:
            files = [f for f in directory.iterdir() if f.is_file()]
            wanted = [f for f in files if keys is None or f.name in keys]
            read = {f.name: f.read_text("utf-8") for f in wanted if self._paths.allow(f)}
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"Could not read the directory {path}: {error}") from error
        return ConfigData(read)


class EnvVarConfigProvider(ConfigProvider):
    """``${env:PASSWORD}``: an environment variable."""

    def configure(self, config: Mapping[str, str]) -> None:
        """Take ``allowlist.pattern``, a regular expression that a variable's whole name matches."""
        try:
            self._allowed = re.compile(config.get("allowlist.pattern", ".*"))
        except re.error as error:
            raise ConfigError(
                {"allowlist.pattern": f"not a regular expression: {error}"}
            ) from error

    def get(self, path: str, keys: Collection[str] | None = None) -> ConfigData:
        """The variables of the environment."""
        if path:
            raise ConfigError(
                f"Path is not supported for EnvVarConfigProvider, invalid value '{path}'"
            )
        allowed = {k: v for k, v in os.environ.items() if self._allowed.fullmatch(k)}
        return ConfigData(_of(allowed, keys))


class CredentialsConfigProvider(ConfigProvider):
    """``${credentials:kafka.password}``: a credential of the service (systemd's LoadCredential=).

    With a path, ``${credentials:kafka.properties:password}``, the credential is a properties file
    and this is one of its keys. Where there is no systemd, ``directory`` says where the files are,
    such as ``/run/secrets``.
    """

    def configure(self, config: Mapping[str, str]) -> None:
        """Take ``directory``."""
        given = config.get("directory") or os.environ.get("CREDENTIALS_DIRECTORY")
        if not given:
            raise ConfigError(
                {"directory": "the service was given no credentials: write LoadCredential= into its"
                 " unit, or set directory to where the files are"}
            )  # fmt: skip
        self._directory = Path(given)

    def get(self, path: str, keys: Collection[str] | None = None) -> ConfigData:
        """The credentials' values; a line's end behind a value is not part of it.

        Raises:
            ConfigError: there is no such credential, or it has no such key.
        """
        if path:
            values = parse_properties(self._read(path), path)
            wanted = values.keys() if keys is None else keys
            return ConfigData(
                {k: self._one(k, values, f"credential {path} has no") for k in wanted}
            )
        wanted = self._names() if keys is None else keys
        return ConfigData({name: _without_end(self._read(name)) for name in wanted})

    def _names(self) -> list[str]:
        return sorted(f.name for f in self._directory.iterdir() if f.is_file())

    def _read(self, name: str) -> str:
        try:
            names = self._names()
            self._one(name, dict.fromkeys(names, ""), "there is no credential")
            return (self._directory / name).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"Could not read the credential {name}: {error}") from error

    @staticmethod
    def _one(key: str, values: Mapping[str, str], problem: str) -> str:
        if key in values:
            return values[key]
        likely = nearest(key, values)
        raise ConfigError(f"{problem} {key}{f', did you mean {likely}?' if likely else ''}")


def _without_end(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")


def _of(values: Mapping[str, str], keys: Collection[str] | None) -> dict[str, str]:
    return {k: v for k, v in values.items() if keys is None or k in keys}
