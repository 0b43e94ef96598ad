"""Java's ``.properties`` format, all of it, from text to keys and values. No I/O in here."""

import re
from collections.abc import Iterator, Sequence

from engine.api.errors import ConfigError

_BLANK = " \t\f"
_LINE_END = re.compile(r"\r\n|\r|\n")
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_HEX_DIGITS = 4
_SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]")


class ConfigFileError(ConfigError):
    """A configuration file cannot be understood; the message begins with ``file:line:``."""


def parse_properties(text: str, source: str) -> dict[str, str]:
    r"""The keys and values of the text; of a key that comes twice the last.

    Args:
        text: the file's contents.
        source: how to name the file in an error.

    Raises:
        ConfigFileError: an escape of the form ``\uXXXX`` is malformed.
    """
    parsed: dict[str, str] = {}
    for number, line in _logical_lines(text):
        try:
            key, value = _split(line)
            parsed[_unescape(key)] = _unescape(value)
        except ValueError as error:
            raise ConfigFileError(f"{source}:{number}: {error}") from None
    return parsed


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with continuations joined, without comments and blank lines, and their numbers."""
    lines = _LINE_END.split(text.removeprefix("\ufeff"))
    index = 0
    while index < len(lines):
        start = index
        line = lines[index].lstrip(_BLANK)
        index += 1
        if not line or line[0] in "#!":
            continue
        line, index = _continued(line, lines, index)
        yield start + 1, line


def _continued(line: str, lines: Sequence[str], index: int) -> tuple[str, int]:
    while _ends_with_escape(line):
        line = line[:-1]
        if index == len(lines):
            break
        line += lines[index].lstrip(_BLANK)
        index += 1
    return line, index


def _ends_with_escape(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _split(line: str) -> tuple[str, str]:
    """Key and value, still escaped: parted by ``=``, ``:`` or blanks."""
    index = 0
    while index < len(line) and line[index] not in f"=:{_BLANK}":
        index += 2 if line[index] == "\\" else 1
    key, rest = line[:index], line[index:].lstrip(_BLANK)
    if rest[:1] in ("=", ":"):
        rest = rest[1:].lstrip(_BLANK)
    return key, rest


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    made: list[str] = []
    index = 0
    while index < len(text):
        char = text[index]
        index += 1
        if char != "\\" or index == len(text):
            made.append(char)
            continue
        char = text[index]
        index += 1
        if char == "u":
            made.append(_code_unit(text[index : index + _HEX_DIGITS]))
            index += _HEX_DIGITS
        else:
            made.append(_ESCAPES.get(char, char))
    return _SURROGATES.sub(_joined, "".join(made))


def _code_unit(digits: str) -> str:
    if not re.fullmatch("[0-9a-fA-F]{4}", digits):
        raise ValueError(f"Malformed \\uXXXX encoding: \\u{digits}")
    return chr(int(digits, 16))


def _joined(pair: "re.Match[str]") -> str:
    return pair.group().encode("utf-16", "surrogatepass").decode("utf-16")
