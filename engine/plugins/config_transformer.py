"""Puts values in the place of ``${provider:path:key}`` (upstream: ``ConfigTransformer``).

Runs in the process that needs the values: stored configurations keep their placeholders.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Final

from engine.api.config_provider import ConfigProvider
from engine.api.errors import ConfigError
from engine.model.secret import Secrets
from engine.plugins.registry import Plugins, make

_PLACEHOLDER: Final = re.compile(r"\$\{([^}]*?):(([^}]*?):)?([^}]*?)\}")


class ConfigTransformer:
    """Resolves placeholders by the worker's config providers, which are made on first use.

    Args:
        worker: the worker's configuration; its ``config.providers`` say what there is.
        secrets: gets every value that is put somewhere, to be shown as its placeholder.
    """

    def __init__(
        self, plugins: Plugins, worker: Mapping[str, str], secrets: Secrets | None = None
    ) -> None:
        self._plugins = plugins
        self._worker = worker
        self._secrets = Secrets() if secrets is None else secrets

    def resolve(self, config: Mapping[str, str]) -> dict[str, str]:
        """The configuration with its values; a placeholder that nobody knows stays as it is.

        Raises:
            ConfigError: a provider cannot be made or cannot read.
        """
        wanted = _wanted(config.values())
        if not wanted:
            return dict(config)
        found: dict[tuple[str, str, str], str] = {}
        for (name, path), keys in wanted.items():
            provider = self._providers.get(name)
            if provider is None:
                continue
            data = provider.get(path, keys)
            found |= {(name, path, key): value for key, value in data.data.items()}
        for (name, path, key), value in found.items():
            self._secrets.add(value, f"${{{name}:{path}:{key}}}" if path else f"${{{name}:{key}}}")
        return {key: _replaced(value, found) for key, value in config.items()}

    @cached_property
    def _providers(self) -> Mapping[str, ConfigProvider]:
        names = [n.strip() for n in self._worker.get("config.providers", "").split(",")]
        return {name: self._provider(name) for name in names if name}

    def _provider(self, name: str) -> ConfigProvider:
        prefix = f"config.providers.{name}."
        cls = self._worker.get(f"{prefix}class")
        if cls is None:
            raise ConfigError(
                {f"{prefix}class": f'Missing required configuration "{prefix}class" '
                 "which has no default value."}
            )  # fmt: skip
        provider: ConfigProvider = make(self._plugins, "config_provider", cls)
        params = f"{prefix}param."
        provider.configure(
            {k.removeprefix(params): v for k, v in self._worker.items() if k.startswith(params)}
        )
        return provider


def restore_placeholders(
    config: Mapping[str, str], raw: Mapping[str, str], resolved: Mapping[str, str]
) -> dict[str, str]:
    """A configuration made from a resolved one, with the placeholders back in it.

    Args:
        config: what was made, a task's configuration say.
        raw: the configuration that it was made from, placeholders unresolved.
        resolved: the same, resolved.
    """
    secret = {v: raw[k] for k, v in resolved.items() if v and raw.get(k, v) != v}
    same_key = {k: raw[k] for k, v in resolved.items() if k in raw and config.get(k) == v}
    return {k: same_key.get(k, secret.get(v, v)) for k, v in config.items()}


def _wanted(values: Iterable[str]) -> dict[tuple[str, str], set[str]]:
    """Which keys are wanted of which provider and path."""
    wanted: dict[tuple[str, str], set[str]] = {}
    for value in values:
        if value is None or "${" not in value:
            continue
        for match in _PLACEHOLDER.finditer(value):
            wanted.setdefault((match[1], match[3] or ""), set()).add(match[4])
    return wanted


def _replaced(value: str, found: Mapping[tuple[str, str, str], str]) -> str:
    if value is None or "${" not in value:
        return value
    return _PLACEHOLDER.sub(lambda m: found.get((m[1], m[3] or "", m[4]), m[0]), value)
