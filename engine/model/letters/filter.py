"""Conditions on dead letters: ``stage=TASK_PUT``, ``time>=-2h``, ``value.customer.id=17``. Pure.

A condition is a field, an operator and what it is compared with. ``=``, ``!=``, ``<``, ``<=``,
``>`` and ``>=`` compare numbers as numbers and all else as text; ``~`` searches for a regular
expression. A field that a letter does not have is equal to nothing but the word ``null``.
"""

import difflib
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from engine.model import data_text

FIELDS: Final = (
    "letter", "number", "queue", "queue_partition", "connector", "task", "stage", "cause",
    "message", "class", "time", "times", "attempts", "topic", "partition", "offset", "timestamp",
    "replayed", "edited", "uncertain",
)  # fmt: skip
DATA_FIELDS: Final = ("key", "value", "header")
"""Fields that may be followed by a path."""

_CONDITION: Final = re.compile(r"\s*([A-Za-z_][^=!<>~\s]*)\s*(!=|<=|>=|=|<|>|~)\s*([\S\s]*?)\s*")
_AGO: Final = re.compile(r"-(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
    ">=": operator.ge,
}  # fmt: skip
_TIMES: Final = ("time", "timestamp")

FieldOf = Callable[[str, Sequence[str]], Any]
"""Gives the value of a field, and of the path below it, of one letter."""


class FilterError(ValueError):
    """A condition that cannot be understood; the text says what was expected."""


class Condition(NamedTuple):
    """One condition.

    Attributes:
        field: one of ``FIELDS`` or ``DATA_FIELDS``.
        path: below the field; of a header it begins with the header's name.
    """

    field: str
    path: tuple[str, ...]
    operator: str
    operand: str | float | re.Pattern[str]

    def holds(self, field_of: FieldOf) -> bool:
        """Whether a letter is as the condition says."""
        found = field_of(self.field, self.path)
        if isinstance(self.operand, re.Pattern):
            return found is not None and self.operand.search(data_text.plain(found)) is not None
        if self.field == "cause" and self.operator in ("=", "!=") and found is not None:
            names = (str(found), str(found).rpartition(".")[2])
            return (self.operand in names) == (self.operator == "=")
        return _compared(found, self.operator, self.operand)


def conditions(texts: Iterable[str], now: float) -> tuple[Condition, ...]:
    """The conditions that texts say.

    Args:
        now: seconds since the epoch, for times like ``-2h``.

    Raises:
        FilterError: a text says none.
    """
    return tuple(_condition(text, now) for text in texts)


def all_hold(wanted: Iterable[Condition], field_of: FieldOf) -> bool:
    """Whether a letter is as all conditions say."""
    return all(condition.holds(field_of) for condition in wanted)


def _condition(text: str, now: float) -> Condition:
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise FilterError(
            f"Invalid condition {text}: expected FIELD, an operator (= != < <= > >= ~) and a value"
        )
    name, comparison, operand = found.groups()
    head, *path = name.split(".")
    if head not in DATA_FIELDS and name not in FIELDS:
        near = difflib.get_close_matches(head, (*FIELDS, *DATA_FIELDS), 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        known = ", ".join((*FIELDS, "key", "key.PATH", "value", "value.PATH", "header.NAME"))
        raise FilterError(f"Invalid condition {text}: unknown field {name}{hint} Known: {known}")
    if head == "header":
        path = [name.removeprefix("header.")] if path else []
        if not path:
            raise FilterError(f"Invalid condition {text}: expected header.NAME")
    if comparison == "~":
        try:
            return Condition(head, tuple(path), comparison, re.compile(operand))
        except re.error as error:
            problem = f"{operand} is no pattern: {error}"
            raise FilterError(f"Invalid condition {text}: {problem}") from None
    if head in _TIMES:
        return Condition(head, (), comparison, _time(text, operand, now))
    return Condition(head, tuple(path), comparison, operand)


def _time(text: str, operand: str, now: float) -> float | str:
    """Milliseconds since the epoch, or ``null``."""
    if operand == "null":
        return operand
    if ago := _AGO.fullmatch(operand):
        return (now - float(ago[1]) * _SECONDS[ago[2]]) * 1000
    if operand.isascii() and operand.isdigit():
        return float(operand)
    try:
        when = datetime.fromisoformat(operand)
    except ValueError:
        raise FilterError(
            f"Invalid condition {text}: {operand} is no time; expected 2025-01-31T12:00:00Z (UTC "
            "where no zone is given), -2h (ms, s, m, h, d ago) or milliseconds since the epoch"
        ) from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000


def _compared(found: Any, comparison: str, operand: str | float) -> bool:
    if found is None or operand == "null":
        is_equal = found is None and operand == "null"
        return comparison in ("=", "<=", ">=") if is_equal else comparison == "!="
    compare = _COMPARE[comparison]
    left, right = _number(found), _number(operand)
    if left is not None and right is not None:
        return compare(left, right)
    return compare(data_text.plain(found), data_text.plain(operand))


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
