"""The shared-memory slot of a task: heartbeat, stage and counters, written by the task alone.

A slot is a page of aligned 8-byte integers. Each store is whole; nothing is promised across fields.
The slot belongs to the task id and outlives its processes: a new process goes on counting where the
last one stopped, so counters never fall and a SIGKILL loses no value. Behind the integers there is
room for texts: what the task has in hand, what it has committed, how its last process ended.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

LAYOUT_VERSION: Final = 3
SLOT_BYTES: Final = 4096
_END_AT: Final = 704
_TEXT_AT: Final = 3072
_COMMITTED_AT: Final[Mapping[str, tuple[int, ...]]] = {"before": (1024,), "after": (1704, 2384)}
LONGEST_COMMITTED: Final = 680 - 1

FIELDS: Final = (
    # about the process; reset by the supervisor before each start
    "layout_version",
    "generation",
    "heartbeat_ns",  # CLOCK_MONOTONIC of the last turn of the task's loop
    "busy_until_ns",  # CLOCK_MONOTONIC until which silence is announced
    "stage",  # index into STAGES
    "started_ns",  # CLOCK_MONOTONIC when start() had returned
    "first_ack_ns",  # CLOCK_MONOTONIC of the first acknowledged or flushed record
    "last_progress_ns",  # CLOCK_MONOTONIC of the last record that moved
    "last_commit_ns",  # CLOCK_MONOTONIC of the last committed offset
    "lag",  # records (sink) or the source's own unit; -1 when unknown
    "queue_records",  # handed to the client library, not acknowledged
    "partitions",  # assigned to a sink
    "committed_turn",  # which of two places holds what was committed last
    "last_error_ms",  # wall clock of the last record error, milliseconds since the epoch
    "record_partition",  # of the record that goes through transformations or converters; or -1
    "record_offset",  # the same record's offset
    "records_before",  # records_in when the process began
    # counters; they go on over restarts
    "records_in",  # polled from the source, or consumed
    "records_out",  # produced, or put into the sink
    "bytes_in",
    "bytes_out",
    "records_filtered",  # dropped by a transformation
    "record_failures",  # attempts that failed
    "record_errors",  # records that failed for good
    "records_skipped",  # dropped by errors.tolerance
    "retries",
    "errors_logged",
    "batches",
    "batch_records_max",
    "batch_ns",  # time spent on batches, poll or put
    "batch_ns_max",
    "commits",
    "commit_failures",
    "commit_skips",
    "commit_ns",
    "commit_ns_max",
    "rebalances",
    "errors_task_poll",  # record_errors by stage
    "errors_transformation",
    "errors_key_converter",
    "errors_value_converter",
    "errors_header_converter",
    "errors_kafka_produce",
    "errors_kafka_consume",
    "errors_task_put",
    "dead_letters",  # kept durably
    "dead_letter_failures",  # refused by their topic
    "dead_letters_dropped",  # by the bounds of the worker's own queue
    "poison_records",  # given up because they end processes
    # kept for the next process; see engine.model.quarantine
    "end_stage",  # what the last process was at
    "work_records",  # how many records the task works on
    "work_id",  # identity of the only one, else 0
    "work_uncommitted",  # records that it has taken since its last commit
    "work_base",  # records_in when the process began
    "work_generation",  # of that process
    "quarantine_care",
    "quarantine_left",
    "quarantine_suspect",
    "quarantine_deaths",
    "quarantine_proof",
    "quarantine_flushes",
)

INDEX: Final[Mapping[str, int]] = {name: i for i, name in enumerate(FIELDS)}
FIRST_COUNTER: Final = INDEX["records_in"]
FIRST_KEPT: Final = INDEX["end_stage"]

STAGES: Final = (
    "init", "start", "poll", "transform", "convert", "produce", "consume", "put", "flush", "commit",
    "wait", "paused", "stop",
)  # fmt: skip


class Slot:
    """Named access to a slot; read by anybody, written by one.

    Args:
        buffer: ``SLOT_BYTES`` bytes, shared memory as a rule.
    """

    __slots__ = ("_bytes", "_end", "_text", "words")

    def __init__(self, buffer: memoryview) -> None:
        self.words: memoryview = buffer.cast("q")
        self._end = buffer[_END_AT : _COMMITTED_AT["before"][0]]
        self._text = buffer[_TEXT_AT:SLOT_BYTES]
        self._bytes = buffer[:SLOT_BYTES]

    def release(self) -> None:
        """Let go of the memory, so that its map can be closed."""
        self.words.release()
        self._end.release()
        self._text.release()
        self._bytes.release()

    def __getitem__(self, name: str) -> int:
        return int(self.words[INDEX[name]])

    def __setitem__(self, name: str, value: int) -> None:
        self.words[INDEX[name]] = value

    def add(self, name: str, amount: int) -> None:
        """Count."""
        self.words[INDEX[name]] += amount

    def raise_to(self, name: str, value: int) -> None:
        """Keep the greatest value."""
        index = INDEX[name]
        self.words[index] = max(self.words[index], value)

    @property
    def stage(self) -> str:
        """What the task is at."""
        return _stage(self["stage"])

    @stage.setter
    def stage(self, name: str) -> None:
        self.words[_STAGE] = STAGE_INDEX[name]

    def enter(self, stage: str, now_ns: int) -> None:
        """Begin something that has a deadline of its own."""
        self.words[_STAGE] = STAGE_INDEX[stage]
        self.words[_HEARTBEAT] = now_ns

    @property
    def in_hand(self) -> str | None:
        """The records that the task was working on; None when it had none."""
        if self.stage not in _STAGES_WITH_RECORDS:
            return None
        text = _read(self._text)
        partition, offset = self["record_partition"], self["record_offset"]
        if not text or offset < 0:
            return text or None
        where = f"partition {partition} offset" if partition >= 0 else "record"
        return f"{text}, at {where} {offset}"

    def take(self, text: str) -> None:
        """Have these records in hand; none of them alone."""
        _write(self._text, text)
        self.words[_OFFSET] = -1

    def mark(self, partition: int, offset: int) -> None:
        """Work on one record of those in hand; a source's has partition -1 and its number."""
        self.words[_PARTITION] = partition
        self.words[_OFFSET] = offset

    def tell_committed(self, which: str, data: bytes) -> None:
        """Keep what was committed ``before`` this process, or by now (``after``).

        What is kept is whole at any time: the newest is written beside the one before.

        Args:
            data: JSON, at most ``LONGEST_COMMITTED`` bytes.
        """
        turn = 1 - self.words[_TURN] if which == "after" else 0
        at = _COMMITTED_AT[which][turn]
        self._bytes[at : at + len(data) + 1] = data + b"\0"
        if which == "after":
            self.words[_TURN] = turn

    def committed(self, which: str) -> list[Any] | None:
        """What was kept; None when nothing was."""
        at = _COMMITTED_AT[which][self.words[_TURN] if which == "after" else 0]
        data = bytes(self._bytes[at : at + LONGEST_COMMITTED + 1]).partition(b"\0")[0]
        try:
            told = json.loads(data, parse_int=_integer)
        except ValueError:  # nothing, or a process of another version
            return None
        return told if isinstance(told, list) else None

    @property
    def last_end(self) -> tuple[str, str]:
        """How the process before this one ended: its class, empty for none, and the reason."""
        exit_class, _, reason = _read(self._end).partition(" ")
        return exit_class, reason

    @property
    def end_stage(self) -> str:
        """What the process before this one was at when it ended."""
        return _stage(self["end_stage"])

    def begin(
        self, generation: int, now_ns: int, exit_class: str | None = None, reason: str | None = None
    ) -> None:
        """Make ready for a new process: its own fields anew, counters as they are.

        Args:
            generation: of the new process.
            now_ns: CLOCK_MONOTONIC.
            exit_class: how the last one ended; None when there was none.
            reason: the same in words.
        """
        self["end_stage"] = self["stage"]
        _write(self._end, "" if exit_class is None else f"{exit_class} {reason or ''}")
        for i in range(FIRST_COUNTER):
            self.words[i] = 0
        self["layout_version"] = LAYOUT_VERSION
        self["generation"] = generation
        self["heartbeat_ns"] = now_ns
        self["lag"] = -1
        self["records_before"] = self["records_in"]
        self.take("")
        for places in _COMMITTED_AT.values():
            for at in places:
                self._bytes[at] = 0

    def values(self) -> dict[str, int]:
        """Everything, by name."""
        return dict(zip(FIELDS, self.words[: len(FIELDS)], strict=True))


def _write(room: memoryview, text: str) -> None:
    data = text.encode("utf-8", "replace")[: len(room) - 1]
    room[: len(data) + 1] = data + b"\0"


def _read(room: memoryview) -> str:
    return bytes(room).partition(b"\0")[0].decode("utf-8", "replace")


def _stage(index: int) -> str:
    """Its name; a process that has overwritten its own memory is nowhere."""
    return STAGES[index] if 0 <= index < len(STAGES) else "unknown"


def _integer(digits: str) -> int | str:
    """A number that messages can carry, or its digits."""
    number = int(digits)
    return number if -(1 << 63) <= number < 1 << 63 else digits


STAGE_INDEX: Final[Mapping[str, int]] = {name: i for i, name in enumerate(STAGES)}
_STAGE: Final = INDEX["stage"]
_HEARTBEAT: Final = INDEX["heartbeat_ns"]
_TURN: Final = INDEX["committed_turn"]
_PARTITION: Final = INDEX["record_partition"]
_OFFSET: Final = INDEX["record_offset"]
_STAGES_WITH_RECORDS: Final = frozenset(
    ("transform", "convert", "produce", "put", "flush", "commit")
)
