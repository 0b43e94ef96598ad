"""Values that may not show in a log, a status or a trace, and what is shown instead. Pure."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final

from engine.api.config import ConfigKey, ConfigType

HIDDEN: Final = "[hidden]"

_SHORTEST: Final = 4
"""Shorter values are hidden where they are the whole of a text only."""

_SHORTEST_LINE: Final = 16
_NAMES: Final = re.compile(
    r"passw(or)?d|secret|jaas|credential|(private|access|api)[._]?key|keystore[.](key|cert)|[.]pem$",
    re.IGNORECASE,
)
_JAAS_SECRET: Final = re.compile(
    r"""(?:password|secret|token)\w*\s*=\s*(["'])((?:[^"'\\]|\\.)+)\1""", re.IGNORECASE
)
_ESCAPED: Final = re.compile(r"\\(.)")
_HARMLESS: Final = re.compile(r"true|false|none|null|\d{1,5}", re.IGNORECASE)


class Secrets:
    """What is to be hidden; more may be added at any time.

    Args:
        by_value: what to show in the place of a value, such as its placeholder.
    """

    def __init__(self, by_value: Mapping[str, str] | None = None) -> None:
        self._by_value: dict[str, str] = {}
        self._encoded: dict[bytes, bytes] = {}
        for value, shown in (by_value or {}).items():
            self.add(value, shown)

    def __bool__(self) -> bool:
        return bool(self._by_value)

    def add(self, value: str, shown: str = HIDDEN) -> None:
        """Hide this value, every long line of it, and passwords inside of it."""
        if not value or _HARMLESS.fullmatch(value):
            return
        inner = [found[2] for found in _JAAS_SECRET.finditer(value)]
        parts = [value, *inner, *(_ESCAPED.sub(r"\1", each) for each in inner)]
        if "\n" in value:
            parts += [line for line in value.splitlines() if len(line) >= _SHORTEST_LINE]
        parts += [form for each in parts for form in _written(each)]
        found = {**dict.fromkeys(parts, shown), **self._by_value}
        longest_first = sorted(found.items(), key=lambda each: -len(each[0]))  # may hold others
        self._by_value = dict(longest_first)
        self._encoded = {
            _inside(value, is_ascii): _inside(shown, is_ascii)
            for value, shown in longest_first
            for is_ascii in (False, True)
            if len(value) >= _SHORTEST
        }

    def add_config(self, config: Mapping[str, str | None], keys: Iterable[ConfigKey] = ()) -> None:
        """Hide the values of passwords, by the type of the key or by its name.

        Args:
            keys: those that plugins declare.
        """
        declared = {key.name for key in keys if key.type is ConfigType.PASSWORD}
        for name, value in config.items():
            if value and (name in declared or is_secret(name)) and "${" not in value:
                self.add(value)

    def hide(self, text: str) -> str:
        """The text without any of the values."""
        for value, shown in self._by_value.items():
            if text == value:
                return shown
            if len(value) >= _SHORTEST:
                text = text.replace(value, shown)
        return text

    def hide_in_json(self, line: bytes) -> bytes:
        """The same for encoded JSON."""
        for value, shown in self._encoded.items():
            line = line.replace(value, shown)
        return line


def is_secret(name: str) -> bool:
    """Whether the name of a key says that its value is secret."""
    return _NAMES.search(name) is not None


def _written(value: str) -> tuple[str, ...]:
    """How a value with quotes, backslashes or line ends stands in a dict or in JSON that is shown.

    Python escapes an apostrophe only where the same text has a quotation mark.
    """
    both = repr(f"'\"{value}")
    return repr(value)[1:-1], both[4:-1], json.dumps(value)[1:-1]


def _inside(text: str, is_ascii: bool) -> bytes:  # noqa: FBT001 (one of two alphabets)
    """The text as it stands between the quotes of a JSON string."""
    return json.dumps(text, ensure_ascii=is_ascii)[1:-1].encode("utf-8", "backslashreplace")
