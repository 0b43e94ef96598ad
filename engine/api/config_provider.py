"""Where ``${provider:path:key}`` in a configuration gets its value from."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import NamedTuple


class ConfigData(NamedTuple):
    """Values by key (upstream: ``ConfigData``; a time for which they hold is not looked at)."""

    data: Mapping[str, str]


class ConfigProvider(ABC):
    """Looks values up (upstream: ``ConfigProvider``).

    Called in the process that uses the value, never in the supervisor.
    """

    def configure(self, config: Mapping[str, str]) -> None:
        """Take ``config.providers.<name>.param.*``, prefix cut off."""

    @abstractmethod
    def get(self, path: str, keys: Collection[str] | None = None) -> ConfigData:
        """The values under a path, of these keys only when given; what is unknown is left out.

        Raises:
            ConfigError: the path cannot be read.
        """

    def close(self) -> None:
        """Give back what :meth:`configure` took."""
