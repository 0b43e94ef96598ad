"""What ``status`` and ``describe`` show, made from the answers of the REST API. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from engine.cli.ctl.output import (
    NOTHING,
    Column,
    Terminal,
    count,
    mebibytes,
    per_second,
    printable,
    seconds,
    share,
    shortened,
    table,
)

Json = Mapping[str, Any]

_WORST_FIRST: Final = (
    "FAILED", "UNKILLABLE", "UNRESPONSIVE", "BACKOFF", "RESTARTING", "STARTING", "UNASSIGNED",
    "STOPPING", "STOPPED", "PAUSED", "RUNNING",
)  # fmt: skip

_CONNECTORS: Final = (
    Column("CONNECTOR", is_long=True),
    Column("TYPE", rank=2),
    Column("STATE"),
    Column("TASKS", is_figure=True, rank=1),
)
_TASKS: Final = (
    Column("TASK", is_long=True),
    Column("PID", is_figure=True, rank=4),
    Column("STATE"),
    Column("RECORDS/S", is_figure=True, rank=2),
    Column("TOTAL", is_figure=True, rank=3),
    Column("LAG", is_figure=True, rank=5),
    Column("RESTARTS", is_figure=True, rank=1),
    Column("CPU", is_figure=True, rank=7),
    Column("MEMORY", is_figure=True, rank=6),
)


def severity(state: str) -> int:
    """Small for what needs somebody's eyes first."""
    return _WORST_FIRST.index(state) if state in _WORST_FIRST else 0


def name_of(task: Json) -> str:
    """``connector-0``."""
    return f"{task['id']['connector']}-{task['id']['task']}"


def status_text(
    statuses: Sequence[Json],
    tasks: Sequence[Json],
    target: Terminal,
    problems: Sequence[str] = (),
) -> str:
    """Connectors, their tasks, and what is wrong with them, the worst first.

    Args:
        problems: of the worker itself.
    """
    if not statuses and not problems:
        return "No connectors."
    parts = [table(_CONNECTORS, [_connector_row(s) for s in by_severity(statuses)], target)]
    if tasks:
        worst_first = sorted(tasks, key=lambda t: (severity(t["condition"]), name_of(t)))
        parts.append(table(_TASKS, [_task_row(task) for task in worst_first], target))
        tasks = worst_first
    troubles = [*_connector_troubles(statuses), *_task_troubles(tasks)]
    troubles += [f"worker: {printable(problem)}" for problem in problems]
    if troubles:
        lines = (shortened(line, target.width) if target.width else line for line in troubles)
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def by_severity(statuses: Iterable[Json]) -> list[Json]:
    """The statuses, those with the worst connector or task first."""

    def worst(status: Json) -> int:
        states = [status["connector"]["state"], *(task["state"] for task in status["tasks"])]
        return min(severity(state) for state in states)

    return sorted(statuses, key=lambda status: (worst(status), status["name"]))


def _connector_row(status: Json) -> list[str]:
    tasks = status["tasks"]
    running = sum(task["state"] == "RUNNING" for task in tasks)
    state = status["connector"]["state"]
    return [status["name"], status["type"], state, f"{running}/{len(tasks)}"]


def _task_row(task: Json) -> list[str]:
    rates = task["rates"] or {}
    state = task["condition"]
    if task["retry_in_seconds"] is not None:
        state += f" {seconds(task['retry_in_seconds'])}"
    return [
        name_of(task),
        NOTHING if task["pid"] is None else str(task["pid"]),
        state,
        per_second(rates.get("records_out_per_second")),
        count(task["counters"]["records_out"]),
        count(task["lag"]),
        count(task["restarts_total"]),
        share(rates.get("cpu")),
        mebibytes(task["pss_bytes"]),
    ]


def _connector_troubles(statuses: Iterable[Json]) -> Iterator[str]:
    for status in statuses:
        trace = status["connector"].get("trace")
        if trace:
            yield f"{status['name']}: {first_line(trace)}"


def _task_troubles(tasks: Iterable[Json]) -> Iterator[str]:
    for task in tasks:
        text = task["trace"] or task["note"]
        if not text and task["condition"] not in ("RUNNING", "PAUSED"):
            text = task["reason"]
        if text:
            yield f"{name_of(task)}: {first_line(text)}"


def first_line(text: str) -> str:
    """The line that says what happened."""
    return printable(text.strip().partition("\n")[0])


def describe_text(
    info: Json, status: Json, tasks: Sequence[Json], offsets: Sequence[Json], target: Terminal
) -> str:
    """All about one connector."""
    parts = [status_text([status], tasks, target)]
    parts.append(_section("configuration", info["config"]))
    parts += [
        _section(f"task {name_of(task)}", _task_details(task))
        for task in sorted(tasks, key=lambda each: int(each["id"]["task"]))
    ]
    if offsets:
        lines = [f"  {_pairs(each['partition'])}: {_pairs(each['offset'])}" for each in offsets]
        parts.append("offsets\n" + "\n".join(lines))
    return "\n\n".join(parts)


def _section(title: str, values: Mapping[str, Any]) -> str:
    lines = (f"  {key} = {printable(str(value))}" for key, value in sorted(values.items()))
    return "\n".join((title, *lines))


def _task_details(task: Json) -> dict[str, Any]:
    counters = {k: v for k, v in task["counters"].items() if v and not k.endswith(("_ns", "_max"))}
    shown = {
        "condition": task["condition"],
        "generation": task["generation"],
        "pid": task["pid"],
        "stage": task["stage"],
        "last exit": task["reason"],
        "note": task["note"],
        "log file": task["log_file"],
        "heartbeat": _ago(task["heartbeat_age_seconds"]),
        "last progress": _ago(task["since_progress_seconds"]),
        "last commit": _ago(task["since_commit_seconds"]),
        "restarts": _pairs(task["restarts"]) or None,
        **_limits(task),
        **{name.replace("_", " "): count(value) for name, value in counters.items()},
    }
    return {name: value for name, value in shown.items() if value is not None}


def _limits(task: Json) -> dict[str, str]:
    """Limits, what is used of the memory and what is left, and who sees to it."""
    limits = task.get("limits") or {}
    seen_to_by = limits.get("seen_to_by", {})
    shown = {}
    for name, who in seen_to_by.items():
        value = limits[name]
        text = mebibytes(value) if name.startswith("memory") else f"{value:g}"
        by = "no effect here" if who == "nobody" else f"by {who}"
        shown[f"limit {name.replace('_', ' ')}"] = f"{text} ({by})"
    left = task.get("memory_headroom_bytes")
    if left is not None:
        used = mebibytes(task["pss_bytes"])
        over = f"{mebibytes(left)} left" if left >= 0 else f"{mebibytes(-left)} too much"
        shown["memory"] = f"{used} used, {over}"
    return shown


def _ago(value: float | None) -> str | None:
    return None if value is None else f"{seconds(value)} ago"


def _pairs(values: Any) -> str:
    if not isinstance(values, Mapping):
        return str(values)
    return ", ".join(f"{key}={value}" for key, value in values.items())
