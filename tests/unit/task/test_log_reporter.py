"""Failures in the log, in upstream's words."""

from typing import Any

import pytest

from engine.api import DataError, SinkRecord, SourceRecord
from engine.model.error_policy import Stage, error_policy
from engine.model.letters.dead_letter import RawRecord
from engine.model.slot import SLOT_BYTES, Slot
from engine.model.task_id import TaskId
from engine.task.log_reporter import LogReporter
from engine.task.tolerance import RecordFailure


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def error(self, text: str, **fields: Any) -> None:
        self.lines.append((text, fields))


class Renamed:
    """A client's message, as far as it is asked."""

    def topic(self) -> str:
        return "old"


CONSUMED = ", where consumed record is {{topic='{}', partition=2, offset=17, timestamp=5, "
TIME = "timestampType=CreateTime}"


@pytest.mark.parametrize(
    ("record", "described"),
    [
        (SinkRecord("t", 2, 17, timestamp=5), CONSUMED.format("t") + TIME),
        (SinkRecord("new", 2, 17, timestamp=5, origin=Renamed()), CONSUMED.format("old") + TIME),
        (RawRecord("t", partition=2, offset=17, timestamp=5), CONSUMED.format("t") + TIME),
        (SourceRecord({"f": 1}, None, "t"), ", where source record is = SourceRecord("),
        (RawRecord("t", value=b"v"), ", where the record is RawRecord(topic='t'"),
        (None, ""),
    ],
)
def test_a_record_is_described_where_that_is_wanted(record: Any, described: str) -> None:
    for wanted in (True, False):
        log, slot = Log(), Slot(memoryview(bytearray(SLOT_BYTES)))
        policy = error_policy({}, {"errors.log.include.messages": str(wanted).lower()})
        failure = RecordFailure(Stage.TASK_PUT, LogReporter, DataError("no"), record, 1)
        LogReporter(log, TaskId("c", 3), policy, slot).report(failure)
        [(text, fields)] = log.lines
        assert text.startswith(
            "Error encountered in task c-3. Executing stage 'TASK_PUT' with class "
            f"'engine.task.log_reporter.LogReporter'{described if wanted else ''}"
        )
        assert text.endswith(".")
        assert (fields["stage"], fields["error"]) == ("TASK_PUT", "DataError: no")
        assert slot["errors_logged"] == 1
