"""``/engine/tasks/{c}/{t}/explain``: why the task's last process ended."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from engine.api.errors import NotFoundError
from engine.herder.herder import Herder, TaskView
from engine.model.death import Death
from engine.model.explanation import Facts, advice, explain, headline, sentence
from engine.model.last_output import LastOutput, output_file
from engine.model.task_id import TaskId
from engine.rest.body import answer
from engine.rest.events import last_events
from engine.rest.route import CONNECTOR, TASK, Route, connector_of, task_of

_MOST: Final = 100
"""Ends that were asked for among which the last death is looked for."""


class ExplainResource:
    """Explanations of deaths."""

    def __init__(self, herder: Herder) -> None:
        self._herder = herder

    def routes(self) -> list[Route]:
        """What is answered here."""
        return [Route("GET", f"/engine/tasks/{CONNECTOR}/{TASK}/explain", self._explain)]

    async def _explain(self, request: web.Request) -> web.Response:
        task = TaskId(connector_of(request), task_of(request))
        view = next((each for each in self._herder.task_views() if each.id == task), None)
        if view is None:
            raise NotFoundError(f"Task {task} not found")
        journal = self._herder.worker_view().journal_file
        return answer(await asyncio.to_thread(explanation, view, journal))


def explanation(view: TaskView, journal: Path | None) -> dict[str, Any]:
    """All that is known of the end of a task's last process. Reads files: not for the loop.

    Args:
        journal: where older deaths are found.
    """
    told: dict[str, Any] = {
        "task": {"connector": view.id.connector, "task": view.id.task},
        "condition": view.report.condition,
        "pid": view.report.pid,
    }
    death = _death_to_explain(view, journal)
    if death is None:
        text = f"{view.id} is {view.report.condition}; no process of it has ended yet."
        return {**told, "sentence": text, "death": None, "text": text, "output": None}
    facts = Facts(view.id, death, view.report.condition, view.report.retry_in)
    output, note = _output_of(journal, view.id, death)
    return {
        **told,
        "headline": headline(death),
        "sentence": sentence(facts),
        "advice": advice(facts),
        "death": msgspec.to_builtins(death),
        "text": explain(facts),
        "output": output,
        "output_note": note,
    }


def _death_to_explain(view: TaskView, journal: Path | None) -> Death | None:
    """The last one that nobody asked for; if there is none, the last one."""
    if view.death is not None and not view.death.is_in_order:
        return view.death
    older = list(_deaths_in(journal, view.id))
    unasked = next((death for death in older if not death.is_in_order), None)
    return unasked or view.death or next(iter(older), None)


def _deaths_in(journal: Path | None, task: TaskId) -> Iterator[Death]:
    """Deaths that the journal tells of, the newest first; they may be of earlier runs."""
    if journal is None:
        return
    for event in reversed(last_events(journal, task.connector, task.task, "exited", _MOST)):
        known = {"generation": event.get("generation"), "reason": event.get("why", "")}
        try:
            yield msgspec.convert({**event.get("death", {}), **known}, Death)
        except (msgspec.ValidationError, TypeError):  # written by another version
            continue


def _output_of(journal: Path | None, task: TaskId, death: Death) -> tuple[str | None, str | None]:
    """What the process wrote last, or why nobody knows."""
    if journal is None:
        return None, "this worker keeps no output"
    try:
        kept = msgspec.json.decode(
            output_file(journal.parent.parent, task).read_bytes(), type=LastOutput
        )
    except (OSError, msgspec.MsgspecError):
        return None, "its last output was not kept; see its log"
    if kept.generation != death.generation:
        return None, "only the output of an earlier process was kept; see its log"
    return kept.output, None
