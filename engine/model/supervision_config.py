"""What a worker, or a connector for itself, can say about how tasks are supervised."""

from collections.abc import Mapping
from typing import Any, Final

from engine.api.config import LOW, at_least, config, key, names_of, one_of, parse
from engine.model.deadlines import Deadlines
from engine.model.exit_status import exit_numbers
from engine.model.limit_config import LimitConfig, limits
from engine.model.loop_config import StopConfig
from engine.model.restart_policy import RestartPolicy
from engine.model.supervision import Supervision

_MOST_RESTARTS: Final = 1000
"""Each of them is remembered with its time, and written down with every change of the task."""

_AS_HEARTBEAT: Final = "0: as engine.heartbeat.timeout.ms."


def _share(value: float) -> str | None:
    return None if 0 <= value <= 1 else "Value must be between 0 and 1"


def _restarts(value: int) -> str | None:
    if value <= _MOST_RESTARTS:
        return at_least(0)(value)
    most = f"Value must be no more than {_MOST_RESTARTS}"
    return f"{most}; engine.restart.policy=always knows no limit"


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
        check=_restarts,
        doc="How many restarts within the window make a task FAILED; at most 1000, the policy "
        "always knows no limit.",
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

    stage_poll: float = key(
        "engine.stage.poll.timeout.ms",
        default=0.0,
        milliseconds=True,
        importance=LOW,
        doc=f"How long a call of poll may take without a word. {_AS_HEARTBEAT}",
        check=at_least(0),
    )
    stage_transform: float = key(
        "engine.stage.transform.timeout.ms",
        default=0.0,
        milliseconds=True,
        importance=LOW,
        doc="How long transformations may take for 64 records, or converters for a batch. "
        f"{_AS_HEARTBEAT}",
        check=at_least(0),
    )
    stage_put: float = key(
        "engine.stage.put.timeout.ms",
        default=0.0,
        milliseconds=True,
        importance=LOW,
        doc=f"How long a call of put may take without a word. {_AS_HEARTBEAT}",
        check=at_least(0),
    )
    stage_flush: float = key(
        "engine.stage.flush.timeout.ms",
        default=0.0,
        milliseconds=True,
        importance=LOW,
        doc=f"How long a sink may take to make its records durable. {_AS_HEARTBEAT}",
        check=at_least(0),
    )
    stage_commit: float = key(
        "engine.stage.commit.timeout.ms",
        default=0.0,
        milliseconds=True,
        importance=LOW,
        doc=f"How long a commit of offsets may take. {_AS_HEARTBEAT}",
        check=at_least(0),
    )
    busy_max: float = key(
        "engine.busy.timeout.max.ms",
        default=3600.0,
        milliseconds=True,
        importance=LOW,
        doc="How long a task may be silent that has announced it.",
        check=at_least(0),
    )
    progress_timeout: float = key(
        "engine.progress.timeout.ms",
        default=300.0,
        milliseconds=True,
        importance=LOW,
        doc="How long records may wait without one that moves before the task counts as DEGRADED; "
        "0: for ever.",
        check=at_least(0),
    )
    progress_restart: bool = key(
        "engine.progress.restart",
        default=False,
        importance=LOW,
        doc="Whether such a task is restarted.",
    )

    def deadlines_of(self, stop: StopConfig) -> Deadlines:
        """The same as the supervisor wants it."""
        return Deadlines(
            start=self.start_timeout,
            heartbeat=self.heartbeat_timeout,
            stop=stop.stop_within,
            stop_max=max(stop.stop_within, stop.stop_timeout_max),
            busy_max=self.busy_max,
            poll=self.stage_poll,
            transform=self.stage_transform,
            put=self.stage_put,
            flush=self.stage_flush,
            commit=self.stage_commit,
            progress=self.progress_timeout,
            progress_restarts=self.progress_restart,
        )


@config
class SupervisionConfig(RestartConfig, DeadlineConfig, StopConfig, LimitConfig):
    """All keys about supervision that a worker and a connector may be told."""


def supervision(worker: Mapping[str, str], connector: Mapping[str, str]) -> Supervision:
    """How a connector's tasks are supervised: its own keys go before the worker's.

    Raises:
        ConfigError: a value is wrong.
    """
    names = names_of(SupervisionConfig)
    merged = {**worker, **{k: v for k, v in connector.items() if k in names}}
    parsed = parse(SupervisionConfig, merged)
    return Supervision(
        parsed.restart_policy_of(), parsed.deadlines_of(parsed), limits(worker, connector)
    )
