"""How a record is found that ends the process which works on it. Pure decisions.

A process says in its slot which records it works on. When it dies at that, its successor is more
careful: first it commits behind every batch, so that whatever ends it stands right behind the last
commit; then it takes each record alone, so that its death names the record. A record that was alone
in dying processes often enough is guilty, and the next process gives it up unseen.
"""

from enum import IntEnum
from typing import Final

import msgspec
from msgspec.structs import replace

from engine.model.exit_status import ExitClass

_NOBODYS: Final = frozenset(
    (ExitClass.STOPPED, ExitClass.OPERATOR, ExitClass.NO_PROGRESS, ExitClass.START_FAILED)
)
"""Ends that no record is to blame for."""

_FEW: Final = 5000
"""So few records since the last commit can be taken one by one at once."""

_MARGIN: Final = 1000
_PROOF: Final = 2
_PROOF_BY_SIGKILL: Final = 3
"""So many deaths of a record's own; anybody can send SIGKILL, so that proves less."""


class Care(IntEnum):
    """How a process goes about its records."""

    NONE = 0
    BATCHES = 1  # commits behind each batch
    RECORDS = 2  # takes each record alone


class Evidence(msgspec.Struct, frozen=True):
    """What the last process left behind.

    Attributes:
        exit_class: how it ended; None when there was none.
        at_work: how many records it worked on, 0 for none.
        alone: the identity of the only one; 0 when there were several.
        uncommitted: records that it had taken since its last commit.
        taken: records that it had taken since its start.
        was_flushing: it was making them durable, not taking them.
    """

    exit_class: ExitClass | None = None
    at_work: int = 0
    alone: int = 0
    uncommitted: int = 0
    taken: int = 0
    was_flushing: bool = False


class Quarantine(msgspec.Struct, frozen=True):
    """What is suspected.

    Attributes:
        care: how the next process goes about its records.
        left: for so many records; then the suspicion was wrong, or is dealt with.
        suspect: identity of the record that the last process was alone with; 0 for none.
        deaths: how many processes have died of it.
        proof: how many are enough.
        flushes: what was taken must be made durable behind each record, for that is what ended it.
    """

    care: Care = Care.NONE
    left: int = 0
    suspect: int = 0
    deaths: int = 0
    proof: int = _PROOF
    flushes: bool = False

    def is_guilty(self, record: int) -> bool:
        """Whether a record with this identity is to be given up."""
        return record == self.suspect != 0 and self.deaths >= self.proof

    def after(self, records: int) -> "Quarantine":
        """So many records have got through."""
        left = self.left - records
        return Quarantine() if left <= 0 else replace(self, left=left)

    def after_end(self, evidence: Evidence) -> "Quarantine":
        """What the end of a process means for its successor."""
        if evidence.exit_class is None or evidence.exit_class in _NOBODYS:
            return Quarantine()
        if not evidence.at_work:
            return self
        region = max(evidence.uncommitted, evidence.at_work)
        if self.care is Care.NONE and region > _FEW:
            return Quarantine(Care.BATCHES, evidence.taken + _MARGIN)
        careful = replace(
            self,
            care=Care.RECORDS,
            left=2 * region + _MARGIN,
            flushes=self.flushes or evidence.was_flushing,
        )
        if self.care is not Care.RECORDS or not evidence.alone:
            return careful
        is_same = evidence.alone == self.suspect
        is_sigkill = evidence.exit_class is ExitClass.KILLED
        return replace(
            careful,
            suspect=evidence.alone,
            deaths=self.deaths + 1 if is_same else 1,
            proof=_PROOF_BY_SIGKILL if is_sigkill else _PROOF,
        )
