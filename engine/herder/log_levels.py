"""Levels of loggers as the REST API changes them; the supervisor keeps and spreads them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from engine.api.errors import ConfigError
from engine.herder.journal import ACTOR, HerderJournal
from engine.model.log_config import log_level
from engine.model.log_levels import (
    KNOWN,
    ROOT,
    LevelSetting,
    changed,
    effective,
    levels_in,
    merged,
    own_name,
    with_level,
)  # fmt: skip
from engine.wire import log_sequence
from engine.wire.herder_message import LogLevelsSet, SetLogLevels

Send = Callable[[msgspec.Struct, Sequence[int]], None]


class LogLevels:
    """What was set while the engine runs, for all of the worker and for single connectors.

    Args:
        send: sends to the supervisor.
        worker: the worker's configuration.
    """

    def __init__(self, send: Send, journal: HerderJournal, worker: Mapping[str, str]) -> None:
        self._send = send
        self._worker = worker
        self._journal = journal
        self._scopes: dict[str | None, Mapping[str, LevelSetting]] = {}

    def take(self, message: LogLevelsSet) -> None:
        """What an earlier herder has set."""
        self._keep(message.connector, message.levels)

    def _keep(self, connector: str | None, levels: Mapping[str, LevelSetting]) -> None:
        self._scopes[connector] = levels
        if connector is None:
            log_sequence.set_levels(levels_in(levels))

    def shown(
        self, connector: str | None, config: Mapping[str, str]
    ) -> dict[str, tuple[str, int | None]]:
        """Level and time of change by logger: ``root``, what was set, and what is known.

        Args:
            connector: whose tasks; None for the worker.
            config: the connector's configuration.
        """
        found = self._levels_of(connector)
        levels, default = levels_in(found), self._configured(config)
        names = (ROOT, *sorted({*found, *KNOWN} - {ROOT}))
        return {
            name: (
                effective(levels, name, default),
                found[name].modified_ms if name in found else None,
            )
            for name in names
        }

    def _levels_of(self, connector: str | None) -> dict[str, LevelSetting]:
        own = {} if connector is None else self._scopes.get(connector, {})
        return merged(self._scopes.get(None, {}), own)

    def _configured(self, config: Mapping[str, str]) -> str:
        try:
            return log_level(self._worker, config)
        except ConfigError:  # it is known in the task's process only, by a config provider
            return log_level(self._worker, {})

    def set(
        self, connector: str | None, logger: str, level: str, config: Mapping[str, str]
    ) -> list[str]:
        """Set a level; the loggers whose level that changes."""
        name = own_name(logger)
        default = self._configured(config)
        names = changed(self._levels_of(connector), KNOWN, name, level, default)
        now_ms = int(datetime.now(UTC).timestamp() * 1000)
        levels = with_level(self._scopes.get(connector, {}), name, level, now_ms)
        self._keep(connector, levels)
        self._send(SetLogLevels(connector, levels, ACTOR.get()), ())
        if names:
            self._journal.record("level_changed", connector=connector, logger=name, to=level)
        return names

    def forget(self, connector: str) -> None:
        """The connector is gone; another of that name begins as it is configured."""
        if self._scopes.pop(connector, None) is not None:
            self._send(SetLogLevels(connector, {}, ACTOR.get()), ())
