"""What was done to dead letters, as columns of SQLite: edits, and how far replays have come."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from engine.model.letters.dead_letter import RawHeaders, RawRecord
from engine.model.letters.stored_letter import Handling

COLUMNS: Final = (
    "edited_ms", "key", "value", "headers", "replay_begun_ms", "replayed_ms", "replay_topic",
    "replay_ends",
)  # fmt: skip


class Change(NamedTuple):
    """What an ``UPDATE`` sets, with its values."""

    setting: str
    values: Sequence[Any]


def edit(edited: RawRecord | None, now_ms: int) -> Change:
    """Another key, value and headers beside the original; None takes them back."""
    values: Sequence[Any] = (None, None, None, None)
    if edited is not None:
        values = (now_ms, edited.key, edited.value, headers_json(edited.headers))
    return Change("edited_ms = ?, key = ?, value = ?, headers = ?", values)


def begin_replay(topic: str, ends: Mapping[int, int], now_ms: int) -> Change:
    """It is about to be sent; that it was sent before is not forgotten.

    That began later than the last replay ended, whatever the clock says.
    """
    setting = (
        "replay_begun_ms = max(?, ifnull(replayed_ms, -1) + 1), replay_topic = ?, replay_ends = ?"
    )
    return Change(setting, (now_ms, topic, json.dumps(ends)))


def end_replay(replayed_ms: int | None) -> Change:
    """It was sent; None when it is certain that it was not this time."""
    if replayed_ms is None:
        return Change("replay_begun_ms = ?", (None,))
    return Change("replayed_ms = max(?, ifnull(replay_begun_ms, 0))", (replayed_ms,))


def looked_up(ends: Mapping[int, int]) -> Change:
    """It is not in its topic up to there, if it is there at all."""
    return Change("replay_ends = ?", (json.dumps(ends),))


def handling_of(values: Sequence[Any]) -> Handling:
    """What a row's columns say."""
    of = dict(zip(COLUMNS, values, strict=True))
    ends = json.loads(of.pop("replay_ends") or "{}")
    headers = of.pop("headers")
    return Handling(
        headers=None if headers is None else headers_of(headers),
        replay_ends={int(partition): end for partition, end in ends.items()},
        **of,
    )


def headers_json(headers: RawHeaders) -> bytes:
    """Headers as a column."""
    told = [(name, None if value is None else value.hex()) for name, value in headers]
    return json.dumps(told).encode()


def headers_of(column: bytes | None) -> RawHeaders:
    """Headers out of a column."""
    found = json.loads(column) if column else ()
    return tuple((name, None if text is None else bytes.fromhex(text)) for name, text in found)
