"""Which levels of logging hold for whom: kept here, where they outlive tasks and herders."""

from collections.abc import Iterable, Iterator, Mapping

from engine.model.log_levels import ROOT, LevelSetting, effective, levels_in, merged
from engine.supervisor.log import Log
from engine.supervisor.supervised_task import SupervisedTask
from engine.wire.herder_message import LogLevelsSet, SetLogLevels

_OWN = "engine.supervisor"


class LogLevelScopes:
    """Levels of the worker, and of single connectors, which go before those.

    Args:
        log: the supervisor's own.
        default: the level that was configured for it.
    """

    def __init__(self, log: Log, default: str) -> None:
        self._log = log
        self._default = default
        self._scopes: dict[str | None, Mapping[str, LevelSetting]] = {}

    def set(self, message: SetLogLevels | LogLevelsSet, tasks: Iterable[SupervisedTask]) -> None:
        """Take new levels for a scope and tell those whom it concerns.

        Args:
            tasks: all that there are.
        """
        connector = message.connector
        self._scopes.pop(connector, None)
        if message.levels:
            self._scopes[connector] = message.levels
        if connector is None:
            own = levels_in(message.levels)
            self._log.set_level(effective(own, _OWN, own.get(ROOT, self._default)))
        for task in tasks:
            if connector in (None, task.id.connector):
                task.tell_levels(self.of(task.id.connector))

    def of(self, connector: str) -> Mapping[str, str]:
        """Levels for a connector's tasks, by logger."""
        return levels_in(merged(self._scopes.get(None, {}), self._scopes.get(connector, {})))

    def told(self) -> Iterator[LogLevelsSet]:
        """All of them, for a new herder or a successor."""
        for connector, levels in self._scopes.items():
            yield LogLevelsSet(connector, dict(levels))
