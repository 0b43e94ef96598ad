"""What a worker, or a connector for itself, can say about how tasks are supervised."""

from collections.abc import Mapping
from typing import Any

from engine.api.config import LOW, at_least, config, key, keys_of, one_of, parse
from engine.model.deadlines import Deadlines
from engine.model.exit_status import exit_numbers
from engine.model.loop_config import LoopConfig
from engine.model.restart_policy import RestartPolicy
from engine.model.supervision import Supervision


def _share(value: float) -> str | None:
    return None if 0 <= value <= 1 else "Value must be between 0 and 1"


def _ends(value: Any) -> str | None:
    try:
        exit_numbers(value)
    except ValueError as error:
        return str(error)
    return None


@config
class RestartConfig:
    """How ends of tasks are answered; a connector may say otherwise with the same keys."""

    restart_policy: str = key(
        "engine.restart.policy",
        default="on-failure",
        importance=LOW,
        doc="What follows a task's end that nobody asked for: never a restart; restarts until "
        "there are too many of them (on-failure); or always a restart.",
        check=one_of("never", "on-failure", "always"),
    )
    restart_delay: float = key(
        "engine.restart.delay.ms",
        default=1.0,
        milliseconds=True,
        importance=LOW,
        doc="How long to wait before the first restart.",
        check=at_least(0),
    )
    restart_delay_factor: float = key(
        "engine.restart.delay.factor",
        default=2.0,
        importance=LOW,
        doc="How many times longer each further wait is.",
        check=at_least(1),
    )
    restart_delay_max: float = key(
        "engine.restart.delay.max.ms",
        default=60.0,
        milliseconds=True,
        importance=LOW,
        doc="The longest wait before a restart.",
        check=at_least(0),
    )
    restart_jitter: float = key(
        "engine.restart.jitter",
        default=0.25,
        importance=LOW,
        check=_share,
        doc="By what share a wait is varied at random, so that not all tasks start at once.",
    )
    restart_max: int = key(
        "engine.restart.max",
        default=10,
        importance=LOW,
        check=at_least(0),
        doc="How many restarts within the window make a task FAILED.",
    )
    restart_window: float = key(
        "engine.restart.window.ms",
        default=600.0,
        milliseconds=True,
        importance=LOW,
        doc="The window in which restarts are counted.",
        check=at_least(1),
    )
    restart_reset_after: float = key(
        "engine.restart.reset.after.ms",
        default=600.0,
        milliseconds=True,
        importance=LOW,
        doc="How long a task must run to count as healthy: its wait begins anew.",
        check=at_least(0),
    )
    restart_reset_needs_progress: bool = key(
        "engine.restart.reset.needs.progress",
        default=True,
        importance=LOW,
        doc="Whether a task must have moved records as well to count as healthy.",
    )
    restart_force: tuple[str, ...] = key(
        "engine.restart.force.exit.status",
        default=(),
        importance=LOW,
        doc="Exit codes, ranges of them and signals that are answered with a restart though the "
        "policy or their cause forbids it: 77, 100-110, SIGSEGV.",
        check=_ends,
    )
    restart_prevent: tuple[str, ...] = key(
        "engine.restart.prevent.exit.status",
        default=(),
        importance=LOW,
        doc="Exit codes, ranges of them and signals that are never answered with a restart.",
        check=_ends,
    )
    restart_budget_rate: float = key(
        "engine.restart.budget.per.second",
        default=50.0,
        importance=LOW,
        doc="How many of a connector's tasks may be restarted a second after failures; 0: no "
        "bound.",
        check=at_least(0),
    )
    restart_budget_burst: int = key(
        "engine.restart.budget.burst",
        default=100,
        importance=LOW,
        doc="How many of these restarts may come at once.",
        check=at_least(1),
    )

    def restart_policy_of(self) -> RestartPolicy:
        """The same as the supervisor wants it."""
        return RestartPolicy(
            mode=self.restart_policy,
            delay=self.restart_delay,
            delay_factor=self.restart_delay_factor,
            delay_max=self.restart_delay_max,
            jitter=self.restart_jitter,
            max_restarts=self.restart_max,
            window=self.restart_window,
            reset_after=self.restart_reset_after,
            reset_needs_progress=self.restart_reset_needs_progress,
            force=exit_numbers(self.restart_force),
            prevent=exit_numbers(self.restart_prevent),
            rate=self.restart_budget_rate,
            burst=self.restart_budget_burst,
        )


@config
class DeadlineConfig:
    """How long tasks may take; a connector may say otherwise with the same keys."""

    start_timeout: float = key(
        "engine.start.timeout.ms",
        default=60.0,
        milliseconds=True,
        importance=LOW,
        doc="How long a task may take to start before its process is killed.",
        check=at_least(1),
    )
    heartbeat_timeout: float = key(
        "engine.heartbeat.timeout.ms",
        default=30.0,
        milliseconds=True,
        importance=LOW,
        doc="How long a task may stay silent before its process is taken for stuck and killed.",
        check=at_least(1),
    )

    def deadlines_of(self, stop: float) -> Deadlines:
        """The same as the supervisor wants it."""
        return Deadlines(start=self.start_timeout, heartbeat=self.heartbeat_timeout, stop=stop)


@config
class SupervisionConfig(RestartConfig, DeadlineConfig):
    """All keys about supervision that a worker and a connector may be told."""


def supervision(worker: Mapping[str, str], connector: Mapping[str, str]) -> Supervision:
    """How a connector's tasks are supervised: its own keys go before the worker's.

    Raises:
        ConfigError: a value is wrong.
    """
    names = {k.name for k in keys_of(SupervisionConfig)}
    merged = {k: v for k, v in (*worker.items(), *connector.items()) if k in names}
    parsed = parse(SupervisionConfig, merged)
    stop = parse(LoopConfig, worker).task_shutdown_graceful_timeout
    return Supervision(parsed.restart_policy_of(), parsed.deadlines_of(stop))
