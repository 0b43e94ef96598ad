"""The headers of a dead letter in a topic that say what happened: written here, and read. Pure.

Upstream's (``DeadLetterQueueReporter``) come first and in its order; what only this engine says
stands behind them under names of its own, so that letters which Kafka Connect wrote are read too.
"""

from typing import Any, Final

from engine.model.letters.dead_letter import DeadLetter, RawHeaders, RawRecord

PREFIX: Final = "__connect.errors."
OUR_PREFIX: Final = "__engine.errors."

REPLAY_PREFIX: Final = "__engine.replay."
"""Headers of records that were dead letters once; text, whatever the header converter reads."""

LETTER_HEADER: Final = f"{REPLAY_PREFIX}letter"
"""The name of the letter that was sent."""

COUNT_HEADER: Final = f"{REPLAY_PREFIX}count"
"""How often this record was replayed, through however many letters."""


def context_headers(letter: DeadLetter) -> list[tuple[str, bytes | None]]:
    """What happened to a letter's record.

    A source's record has no partition and no offset in Kafka, so these two are left out.
    """
    record = letter.record
    told: list[tuple[str, object]] = [(f"{PREFIX}topic", record.topic)]
    if record.offset is not None:
        told += [(f"{PREFIX}partition", record.partition), (f"{PREFIX}offset", record.offset)]
    told += [
        (f"{PREFIX}connector.name", letter.connector),
        (f"{PREFIX}task.id", letter.task),
        (f"{PREFIX}stage", letter.stage),
        (f"{PREFIX}class.name", letter.executing),
        (f"{PREFIX}exception.class.name", letter.exception),
        (f"{PREFIX}exception.message", letter.message),
        (f"{PREFIX}exception.stacktrace", letter.stacktrace),
        (f"{OUR_PREFIX}time", letter.failed_ms),
        (f"{OUR_PREFIX}attempts", letter.attempts),
        (f"{OUR_PREFIX}id", letter.id),
    ]
    return [(name, None if value is None else str(value).encode()) for name, value in told]


def letter_of(kept: RawRecord) -> tuple[DeadLetter, str | None]:
    """The letter that a record of a dead letter topic is, and its id where that is known.

    What the headers do not say is None, and the original topic is empty. Of headers that are there
    more than once the last are meant: the record may have been a dead letter before.
    """
    own, told = _apart(kept.headers)
    record = RawRecord(
        told.get("topic") or "",
        key=kept.key,
        value=kept.value,
        headers=own,
        partition=_number(told.get("partition")),
        offset=_number(told.get("offset")),
        timestamp=kept.timestamp,
    )
    letter = DeadLetter(
        connector=told.get("connector.name"),
        task=_number(told.get("task.id")),
        stage=told.get("stage"),
        executing=told.get("class.name"),
        exception=told.get("exception.class.name"),
        message=told.get("exception.message"),
        stacktrace=told.get("exception.stacktrace"),
        attempts=_number(told.get("attempts")),
        failed_ms=_number(told.get("time")),
        record=record,
    )
    known = told.get("id")
    if known is None and record.offset is not None and letter.stage is not None:
        known = letter.id
    return letter, known


def _apart(headers: RawHeaders) -> tuple[RawHeaders, dict[str, str | None]]:
    """A record's own headers, and what those at the end say that were added to it."""
    told: dict[str, str | None] = {}
    left, may_be_ours = list(headers), True
    while left:
        full, value = left[-1]
        may_be_ours = may_be_ours and full.startswith(OUR_PREFIX)
        name = full.removeprefix(OUR_PREFIX if may_be_ours else PREFIX)
        if name == full or name in told:
            break
        told[name] = None if value is None else value.decode("utf-8", "replace")
        left.pop()
    return tuple(left), told


def _number(text: Any) -> int | None:
    try:
        return int(text)
    except (TypeError, ValueError):
        return None
