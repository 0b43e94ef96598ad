"""Every metric of the metrics page: its name, its type, what it says and where it comes from.

Names follow Prometheus' rules: base units, ``_total`` for what only grows. Labels are the connector
and the task, never a pid: a new process goes on with the series of the last one.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from engine.herder.herder import TaskView, WorkerView
from engine.rest.engine_views import age, lag_of, sample_of

COUNTER: Final = "counter"
GAUGE: Final = "gauge"
SUMMARY: Final = "summary"


class TaskMetric(NamedTuple):
    """A metric with one value a task.

    Attributes:
        name: without the ``_total`` of a counter.
        value: of a task at a time of CLOCK_MONOTONIC; None leaves the series out.
    """

    name: str
    type: str
    text: str
    value: Callable[[TaskView, int], float | None]


class TaskSummary(NamedTuple):
    """How often something was done and how long that took, in all."""

    name: str
    text: str
    seconds: str
    times: str


class WorkerMetric(NamedTuple):
    """A metric of the worker itself."""

    name: str
    type: str
    text: str
    value: Callable[[WorkerView], float]


def _slot(field: str) -> Callable[[TaskView, int], float | None]:
    return lambda view, _now: view.slot.get(field, 0)


def _seconds(field: str) -> Callable[[TaskView, int], float | None]:
    return lambda view, _now: view.slot.get(field, 0) / 1e9


def _age(field: str) -> Callable[[TaskView, int], float | None]:
    return lambda view, now: age(view.slot, field, now)


def _sample(field: str) -> Callable[[TaskView, int], float | None]:
    def value(view: TaskView, _now: int) -> float | None:
        sample = sample_of(view)
        return None if sample is None else float(getattr(sample, field))

    return value


def _cpu_seconds(view: TaskView, _now: int) -> float | None:
    """A counter: it is there while no process is, too."""
    if view.sample is None:
        return None
    return view.former_cpu_seconds + view.sample.cpu_seconds


def _heartbeat_age(view: TaskView, now: int) -> float | None:
    return age(view.slot, "heartbeat_ns", now, is_alive=view.report.pid is not None)


def _lag(view: TaskView, _now: int) -> float | None:
    return lag_of(view.slot)


def _last_error(view: TaskView, _now: int) -> float | None:
    return view.slot.get("last_error_ms", 0) / 1000 or None


def _first_acknowledgement(view: TaskView, _now: int) -> float | None:
    started, first = view.slot.get("started_ns", 0), view.slot.get("first_ack_ns", 0)
    return (first - started) / 1e9 if started and first >= started else None


def _memory_limit(view: TaskView, _now: int) -> float | None:
    limits = view.report.limits
    return limits.memory or None if limits is not None else None


def _counter(name: str, field: str, text: str) -> TaskMetric:
    return TaskMetric(f"engine_task_{name}", COUNTER, text, _slot(field))


def _gauge(name: str, text: str, value: Callable[[TaskView, int], float | None]) -> TaskMetric:
    return TaskMetric(f"engine_task_{name}", GAUGE, text, value)


TASK_METRICS: Final = (
    _counter("in_records", "records_in", "Records polled from the source or consumed from Kafka."),
    _counter("out_records", "records_out", "Records produced to Kafka or put into the sink."),
    _counter("in_bytes", "bytes_in", "Bytes polled from the source or consumed from Kafka."),
    _counter("out_bytes", "bytes_out", "Bytes produced to Kafka or put into the sink."),
    _counter("filtered_records", "records_filtered", "Records dropped by a transformation."),
    _counter("record_failures", "record_failures", "Attempts at a record that failed."),
    _counter("record_errors", "record_errors", "Records that failed for good."),
    _counter("skipped_records", "records_skipped", "Records dropped by errors.tolerance."),
    _counter("retries", "retries", "Further attempts at a record."),
    _counter("logged_errors", "errors_logged", "Record errors that were logged."),
    _counter("dead_letters", "dead_letters", "Records that failed and are kept."),
    _counter("dead_letter_failures", "dead_letter_failures",
             "Dead letters that their topic refused; they are kept in the worker's own queue."),
    _counter("dropped_dead_letters", "dead_letters_dropped",
             "Dead letters that the bounds of the worker's own queue have cost."),
    _counter("poison_records", "poison_records",
             "Records that were given up because they end the process that works on them."),
    _counter("commit_failures", "commit_failures", "Commits of offsets that failed."),
    _counter("commit_skips", "commit_skips", "Commits of offsets that were not needed."),
    _counter("rebalances", "rebalances", "Changes of the partitions that a sink reads."),
    TaskMetric(
        "engine_task_log_lost_bytes", COUNTER, "Output of its processes that could not be kept.",
        lambda view, _now: view.log_lost_bytes,
    ),
    TaskMetric(
        "engine_task_cpu_seconds", COUNTER, "CPU time of the task's processes.", _cpu_seconds,
    ),
    _gauge("batch_max_records", "Records of the greatest batch.", _slot("batch_records_max")),
    _gauge("batch_max_seconds", "Longest time for a batch.", _seconds("batch_ns_max")),
    _gauge("commit_max_seconds", "Longest time for a commit.", _seconds("commit_ns_max")),
    _gauge("lag_records", "What is still to be done: records, or the source's own unit.", _lag),
    _gauge("queue_records", "Records handed to the Kafka client, unanswered.",
           _slot("queue_records")),
    _gauge("partitions", "Partitions that a sink reads.", _slot("partitions")),
    _gauge("heartbeat_age_seconds", "Time since the last turn of the task's loop.",
           _heartbeat_age),
    _gauge("progress_age_seconds", "Time since the last record that moved.",
           _age("last_progress_ns")),
    _gauge("commit_age_seconds", "Time since the last commit of offsets.",
           _age("last_commit_ns")),
    _gauge("first_acknowledgement_seconds",
           "Time from RUNNING to the first acknowledged or flushed record of this process.",
           _first_acknowledgement),
    _gauge("last_error_timestamp_seconds", "When a record failed last, since the epoch.",
           _last_error),
    _gauge("backoff_seconds", "Time until the next start; 0 when none is awaited.",
           lambda view, _now: view.report.retry_in or 0.0),
    _gauge("last_exit_code", "Exit code of the last process, or its signal as a negative number.",
           lambda view, _now: view.report.exit_code),
    _gauge("resident_memory_bytes", "Resident memory of the task's process.",
           _sample("rss_bytes")),
    _gauge("proportional_memory_bytes", "The same, shared pages counted in part (PSS).",
           _sample("pss_bytes")),
    _gauge("memory_limit_bytes", "What the task's process had better stay below, soft or hard.",
           _memory_limit),
)  # fmt: skip

TASK_SUMMARIES: Final = (
    TaskSummary("engine_task_batch_seconds", "Batches and the time for them.",
                "batch_ns", "batches"),
    TaskSummary("engine_task_commit_seconds", "Commits of offsets and the time for them.",
                "commit_ns", "commits"),
)  # fmt: skip

WORKER_METRICS: Final = (
    WorkerMetric("engine_supervisor_loop_lag_seconds", GAUGE,
                 "How late the supervisor's loop is.", lambda w: w.loop_lag_seconds),
    WorkerMetric("engine_zygote_restarts", COUNTER,
                 "How often the process that makes processes was started again.",
                 lambda w: w.zygote_restarts),
    WorkerMetric("engine_herder_restarts", COUNTER,
                 "How often the control plane was started again.", lambda w: w.herder_restarts),
    WorkerMetric("engine_upgrades", COUNTER,
                 "How often a new version has taken over in the same process.",
                 lambda w: w.upgrade.upgrades),
    WorkerMetric("engine_upgrade_failures", COUNTER,
                 "How often one was not tried, or gave the process back.",
                 lambda w: w.upgrade.attempts - w.upgrade.upgrades - w.upgrade.is_running),
    WorkerMetric("engine_console_lost_bytes", COUNTER,
                 "Bytes of the service's log that nobody took in time.",
                 lambda w: w.losses.console_bytes),
    WorkerMetric("engine_journal_lost_events", COUNTER,
                 "Events that the disk did not take in time.",
                 lambda w: w.losses.journal_events),
    WorkerMetric("engine_worker_problems", GAUGE,
                 "What the worker suffers from now, such as a journal that cannot be written.",
                 lambda w: len(w.losses.problems)),
)  # fmt: skip

TASK_STATE: Final = ("engine_task_state", GAUGE, "1 for the state that the task is in, else 0.")
TASK_STAGE_ERRORS: Final = (
    "engine_task_stage_errors", COUNTER, "Records that failed for good, by stage.",
)  # fmt: skip
TASK_FAILED: Final = ("engine_task_failed", GAUGE, "1 for a task that has FAILED, by the reason.")
TASK_RESTARTS: Final = ("engine_task_restarts", COUNTER, "Restarts by the reason for them.")
WORKER_TASKS: Final = ("engine_worker_tasks", GAUGE, "Tasks by state.")
WORKER_INFO: Final = ("engine_worker_info", GAUGE, "Always 1; the labels say who this is.")
"""Metrics with one more label: name, type, what they say."""
