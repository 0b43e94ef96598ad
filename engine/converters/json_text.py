"""JSON as Jackson writes it, byte for byte, and reads it, with its tolerance.

msgspec does the work wherever its result is the same; the rest is done here.
"""

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any, Final

import msgspec

from engine.api.errors import DataError
from engine.api.struct import Struct
from engine.api.text import float_text

_PLAIN: Final = frozenset((str, int, bool, type(None)))
_PLAIN_OR_CONTAINERS: Final = _PLAIN | {dict, list}
_ESCAPE: Final = re.compile(r"\\(u[0-9a-f]{4}|.)")
_ASTRAL: Final = re.compile("[\U00010000-\U0010ffff]")
_ESCAPE_BYTES: Final = re.compile(rb"\\(u[0-9a-f]{4}|.)")
_ASTRAL_BYTES: Final = re.compile(rb"[\xf0-\xf4][\x80-\xbf]{3}")
_NON_FINITE: Final = frozenset(("NaN", "Infinity", "-Infinity"))


def text_json(text: str) -> str:
    """A string in quotes: surrogate pairs and control characters escaped in upper case."""
    quoted = encode_basestring(text)
    if "\\u" in quoted:
        quoted = _ESCAPE.sub(lambda m: _upper(m[0]), quoted)
    return quoted if quoted.isascii() else _ASTRAL.sub(lambda m: _pair(m[0]), quoted)


def _upper(escape: str) -> str:
    return f"\\u{escape[2:].upper()}" if escape[1] == "u" else escape


def _pair(char: str) -> str:
    units = char.encode("utf-16-be")
    return f"\\u{units[0]:02X}{units[1]:02X}\\u{units[2]:02X}{units[3]:02X}"


def float_json(value: float, *, single: bool = False) -> str:
    """A number; what is no number stands in quotes."""
    text = float_text(value, single=single)
    return f'"{text}"' if text in _NON_FINITE else text


def bytes_json(value: bytes | bytearray | memoryview) -> str:
    """Base64 in quotes."""
    return f'"{b64encode(value).decode()}"'


def encode(value: Any) -> bytes:
    """A value without schema.

    Raises:
        DataError: it has a part that JSON has no form for.
    """
    if _is_plain(value):
        try:
            return _as_jackson(msgspec.json.encode(value))
        except (OverflowError, UnicodeEncodeError):
            pass
    return to_utf8(schemaless_json(value))


def to_utf8(text: str) -> bytes:
    """The text's bytes; half a surrogate pair becomes an escape, as in Jackson."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udfff]", lambda m: f"\\u{ord(m[0]):04X}", text).encode()


def _is_plain(value: Any) -> bool:
    """Whether msgspec writes the value as Jackson does."""
    kind = type(value)
    if kind is dict:
        inner = value.values()
        if not set(map(type, value)) <= {str}:
            return False
    elif kind is list:
        inner = value
    else:
        return kind in _PLAIN
    kinds = set(map(type, inner))
    if kinds <= _PLAIN:
        return True
    if not kinds <= _PLAIN_OR_CONTAINERS:
        return False
    return all(_is_plain(each) for each in inner if type(each) not in _PLAIN)


def _as_jackson(encoded: bytes) -> bytes:
    if b"\\u" in encoded:
        encoded = _ESCAPE_BYTES.sub(_upper_bytes, encoded)
    if encoded.isascii():
        return encoded
    return _ASTRAL_BYTES.sub(lambda m: _pair(m[0].decode()).encode(), encoded)


def _upper_bytes(match: "re.Match[bytes]") -> bytes:
    escape = match[0]
    return b"\\u" + escape[2:].upper() if escape[1:2] == b"u" else escape


def schemaless_json(value: Any) -> str:
    """The text of a value that has no schema."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return text_json(value)
        case int():
            return str(value)
        case float():
            return float_json(value)
        case bytes() | bytearray() | memoryview():
            return bytes_json(value)
        case _:
            return _container_json(value)


def _container_json(value: Any) -> str:
    match value:
        case Mapping():
            return _map_json(value)
        case list() | tuple():
            return f"[{','.join(map(schemaless_json, value))}]"
        case Struct():
            raise DataError("Mismatching schema.")
        case _:
            raise DataError(f"Python {type(value)} does not have corresponding schema type.")


def _map_json(value: Mapping[Any, Any]) -> str:
    pairs = [(schemaless_json(k), schemaless_json(v)) for k, v in value.items()]
    if all(isinstance(k, str) for k in value):
        return f"{{{','.join(f'{k}:{v}' for k, v in pairs)}}}"
    return f"[{','.join(f'[{k},{v}]' for k, v in pairs)}]"


MISSING: Final = object()
"""What an empty document holds."""

_NEEDS_CARE: Final = re.compile(rb"\d{19}|-0")
_LEADING_ZEROS: Final = re.compile(r'"(?:[^"\\]|\\.)*"|(?<![\w.+-])(-?)0+(?=[0-9])')
_ANY: Final = msgspec.json.Decoder()


def decode(data: bytes) -> Any:
    """A document without schema: integers are int64 and wrap around, other numbers are floats.

    Raises:
        ValueError: it is no JSON.
    """
    if not _NEEDS_CARE.search(data):
        try:
            return _ANY.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            pass
    return schemaless(decode_tolerant(data))


def decode_tolerant(data: bytes) -> Any:
    """A document as Jackson reads it: leading zeros are allowed, what follows it is ignored.

    Numbers with a point or an exponent are Decimals, so that nothing is lost.

    Raises:
        ValueError: it is no JSON.
    """
    text = str(data, "utf-8").removeprefix("\ufeff").lstrip(" \t\r\n")
    if not text:
        return MISSING
    text = _LEADING_ZEROS.sub(lambda m: m[0] if m[1] is None else m[1], text)
    try:
        value, end = _TOLERANT.raw_decode(text)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None
    if text[end : end + 1] not in ("", *' \t\r\n,:]}[{"'):
        raise ValueError(f"unexpected character {text[end]!r} after the value")
    return value


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_TOLERANT: Final = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse)


def wrapped(value: int, bits: int) -> int:
    """The number in so many bits, as Java narrows it."""
    half = 1 << bits - 1
    return value if -half <= value < half else (value + half) % (2 * half) - half


def schemaless(node: Any) -> Any:
    """What a parsed document without schema means."""
    match node:
        case bool():
            return node
        case int():
            return wrapped(node, 64)
        case Decimal():
            return float(node) or 0.0
        case list():
            return [schemaless(each) for each in node]
        case dict():
            return {key: schemaless(each) for key, each in node.items()}
        case _:
            return None if node is MISSING else node
