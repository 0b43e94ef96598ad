"""Regular expressions and replacements as Java writes them."""

import re
from typing import Any, Final

_NAMED_GROUP: Final = re.compile(r"\(\?<(?![=!])")
_REFERENCE: Final = re.compile(r"\\(.)|\$(\d+)|\$\{(\w+)\}")


def java_regex(text: str) -> "re.Pattern[str]":
    """The expression, compiled.

    Raises:
        re.error: it is none, or uses what only Java has.
    """
    return re.compile(_NAMED_GROUP.sub("(?P<", text))


def valid_regex(value: Any) -> str | None:
    """A check for keys that hold an expression."""
    try:
        java_regex(value)
    except re.error as error:
        return f"Invalid regex: {error}"
    return None


def replaced(match: "re.Match[str]", replacement: str) -> str:
    """The replacement with ``$1`` and ``${name}`` filled in.

    Raises:
        IndexError: there is no such group.
    """

    def fill(reference: "re.Match[str]") -> str:
        literal, number, name = reference.groups()
        if literal is not None:
            return literal
        return _numbered(match, number) if number else match[name] or ""

    return _REFERENCE.sub(fill, replacement)


def _numbered(match: "re.Match[str]", digits: str) -> str:
    """What ``$12`` means: as many digits as make a group that exists, the others are text."""
    used = len(digits)
    while used > 1 and int(digits[:used]) > match.re.groups:
        used -= 1
    return (match[int(digits[:used])] or "") + digits[used:]
