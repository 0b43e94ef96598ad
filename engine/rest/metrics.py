"""``/metrics``: the table of metrics as Prometheus reads it; made anew for every scrape."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from engine.herder.herder import Herder, TaskView, WorkerView
from engine.model.error_policy import Stage
from engine.model.state import Condition
from engine.rest.metric_table import (
    COUNTER,
    SUMMARY,
    TASK_FAILED,
    TASK_METRICS,
    TASK_RESTARTS,
    TASK_STAGE_ERRORS,
    TASK_STATE,
    TASK_SUMMARIES,
    WORKER_INFO,
    WORKER_METRICS,
    WORKER_TASKS,
    TaskMetric,
    TaskSummary,
)  # fmt: skip
from engine.rest.route import Route

Labels = dict[str, str]
Labelled = Sequence[tuple[Labels, TaskView]]


class MetricsResource:
    """The metrics page."""

    def __init__(self, herder: Herder) -> None:
        self._herder = herder

    def routes(self) -> list[Route]:
        """What is answered here."""
        return [Route("GET", "/metrics", self._metrics)]

    async def _metrics(self, request: web.Request) -> web.Response:
        encoder, content_type = choose_encoder(request.headers.get("Accept", ""))
        registry = CollectorRegistry(auto_describe=False)
        registry.register(
            WorkerCollector(
                self._herder.task_views(), self._herder.worker_view(), time.monotonic_ns()
            )
        )
        # the views are values, so another thread may write them down while requests are answered
        body = await asyncio.to_thread(encoder, registry)
        return web.Response(body=body, headers={"Content-Type": content_type})


class WorkerCollector(Collector):
    """All metrics at one moment, which is a time of CLOCK_MONOTONIC in nanoseconds."""

    def __init__(self, tasks: Sequence[TaskView], worker: WorkerView, now: int) -> None:
        self._tasks = [
            ({"connector": each.id.connector, "task": str(each.id.task)}, each) for each in tasks
        ]
        self._worker = worker
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Called by the encoder."""
        for metric in TASK_METRICS:
            yield _task_metric(metric, self._tasks, self._now)
        for summary in TASK_SUMMARIES:
            yield _task_summary(summary, self._tasks)
        yield _task_states(self._tasks)
        yield _task_failed(self._tasks)
        yield _task_restarts(self._tasks)
        yield _task_stage_errors(self._tasks)
        yield from _worker_metrics(self._worker)
        yield _worker_tasks(view for _, view in self._tasks)


def _metric(name: str, kind: str, text: str, samples: Iterable[Sample]) -> Metric:
    made = Metric(name, text, kind)
    made.samples = list(samples)
    return made


def _sample_name(name: str, kind: str) -> str:
    return f"{name}_total" if kind == COUNTER else name


def _task_metric(metric: TaskMetric, tasks: Labelled, now: int) -> Metric:
    name, value = _sample_name(metric.name, metric.type), metric.value
    samples = (
        Sample(name, labels, amount)
        for labels, view in tasks
        if (amount := value(view, now)) is not None
    )
    return _metric(metric.name, metric.type, metric.text, samples)


def _task_summary(summary: TaskSummary, tasks: Labelled) -> Metric:
    samples: list[Sample] = []
    for labels, view in tasks:
        seconds = view.slot.get(summary.seconds, 0) / 1e9
        samples.append(Sample(f"{summary.name}_count", labels, view.slot.get(summary.times, 0)))
        samples.append(Sample(f"{summary.name}_sum", labels, seconds))
    return _metric(summary.name, SUMMARY, summary.text, samples)


def _task_states(tasks: Labelled) -> Metric:
    name, kind, text = TASK_STATE
    samples = (
        Sample(name, {**labels, "state": each.value}, float(view.report.condition == each))
        for labels, view in tasks
        for each in Condition
    )
    return _metric(name, kind, text, samples)


def _task_failed(tasks: Labelled) -> Metric:
    name, kind, text = TASK_FAILED
    samples = (
        Sample(name, {**labels, "reason": because}, 1.0)
        for labels, view in tasks
        if (because := view.report.failed_because) is not None
    )
    return _metric(name, kind, text, samples)


def _task_restarts(tasks: Labelled) -> Metric:
    name, kind, text = TASK_RESTARTS
    samples = (
        Sample(_sample_name(name, kind), {**labels, "reason": reason}, count)
        for labels, view in tasks
        for reason, count in sorted(view.report.restarts.items())
    )
    return _metric(name, kind, text, samples)


def _task_stage_errors(tasks: Labelled) -> Metric:
    name, kind, text = TASK_STAGE_ERRORS
    samples = (
        Sample(_sample_name(name, kind), {**labels, "stage": stage.value}, count)
        for labels, view in tasks
        for stage in Stage
        if (count := view.slot.get(f"errors_{stage.lower()}", 0))
    )
    return _metric(name, kind, text, samples)


def _worker_metrics(worker: WorkerView) -> Iterator[Metric]:
    for each in WORKER_METRICS:
        sample = Sample(_sample_name(each.name, each.type), {}, each.value(worker))
        yield _metric(each.name, each.type, each.text, [sample])
    name, kind, text = WORKER_INFO
    labels = {
        "version": worker.version,
        "commit": worker.commit,
        "worker_id": worker.worker_id,
        "kafka_cluster_id": worker.kafka_cluster_id or "",
    }
    yield _metric(name, kind, text, [Sample(name, labels, 1)])


def _worker_tasks(tasks: Iterable[TaskView]) -> Metric:
    name, kind, text = WORKER_TASKS
    counts: Mapping[str, int] = Counter(view.report.condition for view in tasks)
    samples = (Sample(name, {"state": each.value}, counts.get(each.value, 0)) for each in Condition)
    return _metric(name, kind, text, samples)
