"""Finds and gives up records that end the process which works on them.

What is suspected stands in the task's slot, which outlives its processes; see
:mod:`engine.model.quarantine` for what follows from it. Only where errors are tolerated.
"""

import hashlib
import time
from typing import Any, Final

from engine.api.errors import DataError
from engine.api.record import SourceRecord
from engine.model.error_policy import Stage
from engine.model.exit_status import ExitClass
from engine.model.letters.dead_letter import RawRecord
from engine.model.quarantine import Care, Evidence, Quarantine
from engine.model.slot import Slot
from engine.task.task_life import TaskLife
from engine.task.tolerance import RetryWithToleranceOperator

_COMMIT_EVERY: Final = 0.5
_SMALL_BATCH: Final = 500
_STAGES: Final = {
    "convert": Stage.VALUE_CONVERTER,
    "transform": Stage.TRANSFORMATION,
    "produce": Stage.KAFKA_PRODUCE,
}
_FIELDS: Final = ("care", "left", "suspect", "deaths", "proof", "flushes")


class PoisonRecordError(DataError):
    """A record has ended every process that worked on it."""


class RecordQuarantine:
    """Says how carefully records are to be taken, and which one is not to be taken at all.

    Args:
        life: of the task.
        operator: gives guilty records up.
        executing: the task's class.
    """

    def __init__(
        self, life: TaskLife, operator: RetryWithToleranceOperator, executing: type
    ) -> None:
        self._life = life
        self._slot = life.runtime.slot
        self._operator = operator
        self._executing = executing
        self._records = self._alone = 0
        self._uncommitted = 0
        self._has_passed = False
        self._next_commit = 0.0
        self._reason = ""
        self._stage = Stage.TASK_PUT
        self._state = Quarantine()

    def begin(self) -> None:
        """Look at how the last process of this task has ended."""
        slot = self._slot
        exit_class, self._reason = slot.last_end
        before, generation = _read(slot), self._life.runtime.generation
        has_worked = slot["work_generation"] == generation - 1  # else it died before it was here
        evidence = Evidence(
            ExitClass(exit_class) if exit_class else None,
            at_work=slot["work_records"] if has_worked else 0,
            alone=slot["work_id"],
            uncommitted=slot["work_uncommitted"],
            taken=slot["records_in"] - slot["work_base"],
            was_flushing=slot.end_stage == "flush",
        )
        self._state = before.after_end(evidence)
        self._stage = _STAGES.get(slot.end_stage, Stage.TASK_PUT)
        slot["work_base"] = slot["records_in"]
        slot["work_generation"] = generation
        slot["work_uncommitted"] = 0
        self.idle()
        self._write()
        self._say()
        if self._state.care and evidence.at_work:
            self._life.log.warning(
                "the last process ended while it worked on records; they are taken with care",
                ended=self._reason, care=self._state.care.name, records=self._state.left,
                suspect_deaths=self._state.deaths,
            )  # fmt: skip

    @property
    def takes_one(self) -> bool:
        """Whether each record is to be taken alone."""
        return self._state.care is Care.RECORDS

    @property
    def most(self) -> int | None:
        """How many records may be taken at once; None for any number."""
        return (None, _SMALL_BATCH, 1)[self._state.care]

    @property
    def wants_commit(self) -> bool:
        """Whether what was taken is to be committed now."""
        state = self._state
        if not state.care or not self._uncommitted:
            return False
        is_urgent = state.care is Care.BATCHES or state.flushes
        return is_urgent or time.monotonic() >= self._next_commit

    def admits(self, records: int, alone: int, record: Any) -> bool:
        """Begin to work on records; False when the only one is guilty, which gives it up.

        Args:
            records: how many.
            alone: identity of the only one, else 0.
            record: that one, for whoever hears of it.

        Raises:
            ToleranceExceededError: too many were given up already.
        """
        self._slot["work_uncommitted"] = self._uncommitted = self._uncommitted + records
        if alone and self._state.is_guilty(alone):
            self._give_up(record)
            return False
        self._records, self._alone = records, alone
        self.works()
        return True

    def works(self) -> None:
        """The records that were admitted last are in somebody's hands."""
        self._slot["work_id"] = self._alone
        self._slot["work_records"] = self._records

    def flushes(self) -> None:
        """What was taken is going to be made durable: that is work on records, too."""
        self._slot["work_id"] = self._alone if self._uncommitted == 1 else 0
        self._slot["work_records"] = self._uncommitted

    def idle(self) -> None:
        """No record is worked on; an end now is no record's doing."""
        self._slot["work_records"] = 0
        self._slot["work_id"] = 0

    def passed(self, records: int) -> None:
        """Records have got through."""
        self.idle()
        self._has_passed = True
        if self._state.care:
            self._change(self._state.after(records))

    def caught_up(self) -> None:
        """There are no more records: whatever was suspected would have been among them."""
        if self._state.care and self._has_passed and not self._uncommitted:
            self._change(Quarantine())

    def flushed(self, *, is_durable: bool) -> None:
        """The end of :meth:`flushes`; a commit follows what is durable."""
        self.idle()
        if is_durable:
            self._slot["work_uncommitted"] = self._uncommitted = 0
            self._next_commit = time.monotonic() + _COMMIT_EVERY

    def _say(self) -> None:
        if self._state.care:
            how = "one at a time" if self.takes_one else "in small batches"
            self._life.conditions.say(
                "quarantine", f"records are taken {how}: the last process ended at work on them, "
                f"{self._reason}",
            )  # fmt: skip

    def _give_up(self, record: Any) -> None:
        deaths = self._state.deaths
        error = PoisonRecordError(
            f"the record has ended {deaths} processes of this task, the last one: {self._reason}"
        )
        self._slot.add("poison_records", 1)
        self._operator.fail(self._stage, self._executing, error, record, deaths)
        self._next_commit = 0.0

    def _change(self, state: Quarantine) -> None:
        self._state = state
        self._write()
        if not state.care:
            self._life.log.info("records are taken as ever")
            self._life.conditions.say("quarantine", None)

    def _write(self) -> None:
        for name in _FIELDS:
            self._slot[f"quarantine_{name}"] = int(getattr(self._state, name))


def consumed_id(record: RawRecord) -> int:
    """The identity of a record in Kafka."""
    return _identity(f"{record.topic}-{record.partition}@{record.offset}")


def source_id(record: SourceRecord, *, has_own_offset: bool) -> int:
    """The identity of a source's record: the same when the source reads it again.

    Args:
        record: a single one.
        has_own_offset: its offset is not that of its batch, which may be another one next time.
    """
    offset = record.source_offset if has_own_offset else None
    return _identity(
        repr((record.topic, record.source_partition, offset, record.key, record.value))
    )


def _identity(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 1) or 1


def _read(slot: Slot) -> Quarantine:
    values = {name: slot[f"quarantine_{name}"] for name in _FIELDS}
    return Quarantine(
        care=Care(values["care"]),
        left=values["left"],
        suspect=values["suspect"],
        deaths=values["deaths"],
        proof=values["proof"],
        flushes=bool(values["flushes"]),
    )
