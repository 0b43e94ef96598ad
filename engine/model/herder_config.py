"""What of a worker's configuration the herder itself needs to know."""

from engine.api.config import LOW, at_least, config, key


@config
class HistoryConfig:
    """How much is kept of what connectors' configurations were."""

    history_versions: int = key(
        "engine.config.history.versions",
        default=100,
        importance=LOW,
        doc="How many versions of a connector's configuration are kept, the present one included.",
        check=at_least(1),
    )
    history_retention: float = key(
        "engine.config.history.retention.ms",
        default=366 * 86400.0,
        milliseconds=True,
        importance=LOW,
        doc="How long versions are kept that are no longer in use; -1 for ever.",
        check=at_least(-1),
    )


@config
class HerderConfig(HistoryConfig):
    """What the herder itself needs to know."""

    plan_timeout: float = key(
        "engine.plan.timeout.ms",
        default=10.0,
        milliseconds=True,
        importance=LOW,
        doc="How long a connector's own code may take to check a configuration or to plan tasks.",
        check=at_least(1),
    )
