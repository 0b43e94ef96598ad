"""Logs records that failed (``errors.log.enable``; upstream: ``LogReporter``)."""

from typing import Any

from engine.api.record import SinkRecord, SourceRecord
from engine.model.error_policy import ErrorPolicy
from engine.model.letters.dead_letter import RawRecord
from engine.model.slot import Slot
from engine.model.task_id import TaskId
from engine.task.tolerance import RecordFailure


class LogReporter:
    """Writes one log event per failed record.

    Args:
        logger: a structlog logger.
        task: whose records these are.
        policy: says whether the record is described as well.
        slot: where events are counted.
    """

    def __init__(self, logger: Any, task: TaskId, policy: ErrorPolicy, slot: Slot) -> None:
        self._logger = logger
        self._task = task
        self._policy = policy
        self._slot = slot

    def report(self, failure: RecordFailure) -> None:
        """Log it, in upstream's words."""
        described = _described(failure.record) if self._policy.log_include_messages else ""
        kind = failure.executing
        self._logger.error(
            f"Error encountered in task {self._task}. Executing stage '{failure.stage}' with class "
            f"'{kind.__module__}.{kind.__qualname__}'{described}.",
            stage=str(failure.stage),
            error=f"{type(failure.error).__name__}: {failure.error}",
            exc_info=failure.error,
        )
        self._slot.add("errors_logged", 1)


def _described(record: Any) -> str:
    """The record as upstream's log names it."""
    if isinstance(record, SourceRecord):
        return f", where source record is = {record}"
    if not isinstance(record, SinkRecord | RawRecord):
        return ""
    if record.offset is None:
        return f", where the record is {record}"
    origin = getattr(record, "origin", None)  # a transformation may have renamed the topic
    topic = record.topic if origin is None else origin.topic()
    return (
        f", where consumed record is {{topic='{topic}', partition={record.partition}, "
        f"offset={record.offset}, timestamp={record.timestamp}, "
        f"timestampType={getattr(record, 'timestamp_type', 'CreateTime')}}}"
    )
