"""A reporter for sinks under test: it remembers what a task reports, or refuses it."""

from dataclasses import dataclass, field

from engine.api.errors import ToleranceExceededError
from engine.api.record import SinkRecord


@dataclass
class ErrantRecords:
    """Give it to a :class:`SinkTestContext` as its ``reporter``.

    Attributes:
        tolerates: whether errors are tolerated; else a report raises, as it does in the engine.
        reported: every record with its error, in order, those that were refused among them.
    """

    tolerates: bool = True
    reported: list[tuple[SinkRecord, BaseException]] = field(default_factory=list)

    def report(self, record: SinkRecord, error: BaseException) -> None:
        """See :class:`engine.api.ErrantRecordReporter`."""
        self.reported.append((record, error))
        if not self.tolerates:
            raise ToleranceExceededError("TASK_PUT") from error
