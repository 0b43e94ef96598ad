"""``/engine/…``: what only we know of tasks and of the worker. Pure but for the clock given."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from engine.herder.herder import TaskView, WorkerView
from engine.herder.sampler import Sample
from engine.model.limits import Limits, seen_to_by
from engine.model.slot import FIELDS, FIRST_COUNTER, FIRST_KEPT, STAGES
from engine.model.state import ON_THE_WIRE, Condition
from engine.rest.rates import Rate
from engine.wire.herder_message import Reloaded, TaskReport, UpgradeState

_COUNTERS: Final = FIELDS[FIRST_COUNTER:FIRST_KEPT]


def task_json(view: TaskView, rate: Rate | None, now_ns: int) -> dict[str, Any]:
    """One task; ``now_ns`` is CLOCK_MONOTONIC, by which the slot counts."""
    report, slot, sample = view.report, view.slot, sample_of(view)
    return {
        "id": {"connector": view.id.connector, "task": view.id.task},
        "type": view.type,
        "state": ON_THE_WIRE[Condition(report.condition)].value,
        "condition": report.condition,
        "pid": report.pid,
        "generation": report.generation,
        "stage": stage_of(slot) if report.pid is not None else None,
        "note": report.note,
        "restarts": dict(report.restarts),
        "restarts_total": sum(report.restarts.values()),
        "reason": report.reason,
        "exit_code": report.exit_code,
        "trace": report.trace,
        "retry_in_seconds": report.retry_in,
        "lag": lag_of(slot),
        "queue_records": slot.get("queue_records", 0),
        "partitions": slot.get("partitions", 0),
        "counters": {name: slot.get(name, 0) for name in _COUNTERS},
        "rates": None if rate is None else rate_json(rate),
        "cpu_seconds": sample.cpu_seconds if sample else None,
        "rss_bytes": sample.rss_bytes if sample else None,
        "pss_bytes": sample.pss_bytes if sample else None,
        "limits": limits_json(report),
        "memory_headroom_bytes": headroom_of(report, sample),
        "heartbeat_age_seconds": age(slot, "heartbeat_ns", now_ns, is_alive=report.pid is not None),
        "uptime_seconds": age(slot, "started_ns", now_ns, is_alive=report.pid is not None),
        "since_progress_seconds": age(slot, "last_progress_ns", now_ns),
        "since_commit_seconds": age(slot, "last_commit_ns", now_ns),
        "log_file": str(view.log_file) if view.log_file else None,
        "log_lost_bytes": view.log_lost_bytes,
    }


def sample_of(view: TaskView) -> Sample | None:
    """What the process uses that runs now; the figures of a dead one would mislead."""
    sample = view.sample
    return sample if sample is not None and sample.pid == view.report.pid else None


def limits_json(report: TaskReport) -> dict[str, Any] | None:
    """Limits that are set, and who sees to each; None when none is."""
    if report.limits is None:
        return None
    values = {f.name: getattr(report.limits, f.name) for f in msgspec.structs.fields(Limits)}
    return {
        **{name: value for name, value in values.items() if value},
        "seen_to_by": seen_to_by(report.limits, report.confined),
    }


def headroom_of(report: TaskReport, sample: Sample | None) -> int | None:
    """Bytes that the process may still use; None without a limit, or before it is measured."""
    limit = report.limits.memory if report.limits is not None else 0
    return limit - sample.pss_bytes if limit and sample is not None else None


def rate_json(rate: Rate) -> dict[str, float | None]:
    """Records per second and the share of a CPU."""
    return {
        "records_in_per_second": round(rate.records_in, 3),
        "records_out_per_second": round(rate.records_out, 3),
        "cpu": None if rate.cpu is None else round(rate.cpu, 4),
    }


def stage_of(slot: Mapping[str, int]) -> str | None:
    """What the task is at, by its slot."""
    number = slot.get("stage", 0)
    return STAGES[number] if 0 <= number < len(STAGES) else None


def lag_of(slot: Mapping[str, int]) -> int | None:
    """None while the lag is unknown."""
    lag = slot.get("lag", -1)
    return None if lag < 0 else lag


def age(slot: Mapping[str, int], name: str, now_ns: int, *, is_alive: bool = True) -> float | None:
    """Seconds since the time in the slot; None when there is none or the process is gone."""
    then = slot.get(name, 0)
    return _since(then, now_ns) if then and is_alive else None


def _since(then_ns: int, now_ns: int) -> float:
    return round(max(0, now_ns - then_ns) / 1e9, 3)


def worker_json(worker: WorkerView, tasks: Mapping[str, int], now_ns: int) -> dict[str, Any]:
    """The worker and the number of its tasks by condition; ``now_ns`` is CLOCK_MONOTONIC."""
    return {
        "version": worker.version,
        "commit": worker.commit,
        "kafka_cluster_id": worker.kafka_cluster_id,
        "worker_id": worker.worker_id,
        "supervisor_pid": worker.supervisor_pid,
        "herder_pid": worker.herder_pid,
        "zygote_pid": worker.zygote.pid if worker.zygote else None,
        "zygote_uptime_seconds": _since(worker.zygote.ready_ns, now_ns) if worker.zygote else None,
        "loop_lag_seconds": worker.loop_lag_seconds,
        "zygote_restarts": worker.zygote_restarts,
        "herder_restarts": worker.herder_restarts,
        "upgrade": upgrade_json(worker.upgrade),
        "problems": list(worker.losses.problems),
        "lost": {
            "console_bytes": worker.losses.console_bytes,
            "journal_events": worker.losses.journal_events,
            "outputs": worker.losses.outputs,
        },
        "tasks": dict(tasks),
    }


def reloaded_json(reloaded: Reloaded) -> dict[str, Any]:
    """What became of the connector files, see :class:`engine.wire.herder_message.Reloaded`."""
    return {
        "changed": dict(reloaded.changed),
        "problems": list(reloaded.problems),
        "pending": list(reloaded.pending),
    }


def upgrade_json(upgrade: UpgradeState) -> dict[str, Any]:
    """How many upgrades there were, and what came of the last."""
    return {
        "attempts": upgrade.attempts,
        "upgrades": upgrade.upgrades,
        "is_running": upgrade.is_running,
        "problem": upgrade.problem,
    }
