"""A dead letter with another key, value or headers; those of a source's are in its envelope."""

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from engine.model.error_policy import Stage
from engine.model.letters.dead_letter import RawRecord
from engine.model.letters.request import LettersRequest, LettersRequestError
from engine.model.letters.stored_letter import StoredLetter
from engine.task.source_envelope import (
    EnvelopeError,
    SourceEnvelopes,
    bytes_field,
    envelope_of,
)  # fmt: skip

_SIDES: Final = ("key", "value")


def edited(stored: StoredLetter, request: LettersRequest) -> RawRecord:
    """The record of a letter as the request wants it.

    Raises:
        LettersRequestError: the request changes nothing, or something that is not there.
    """
    given: dict[str, bytes | None] = {
        name: _bytes(text, is_base64=request.base64)
        for name, text in (("key", request.key), ("value", request.value))
        if not isinstance(text, msgspec.UnsetType)
    }
    headers = {
        name: _bytes(text, is_base64=request.base64) for name, text in request.headers.items()
    }
    if not given and not headers and not request.remove_headers:
        raise LettersRequestError("expected a new key, a new value, headers, or revert")
    record = stored.record
    envelope = envelope_of(record)
    whole = given.get("value")
    if envelope is None or (whole is not None and envelope_of(RawRecord("", value=whole))):
        changed = _with_headers(record.headers, headers, request.remove_headers)
        return replace(record, headers=changed, **given)
    return replace(record, value=_in_envelope(stored, envelope, given, headers, request))


def _in_envelope(
    stored: StoredLetter,
    envelope: Mapping[str, Any],
    given: Mapping[str, bytes | None],
    headers: Mapping[str, bytes | None],
    request: LettersRequest,
) -> bytes:
    before = envelope.get("before") or stored.letter.stage
    field = bytes_field if before == Stage.KAFKA_PRODUCE else _connect_field
    changed = {name: _field(envelope[name], raw, field) for name, raw in given.items()}
    made = {
        **envelope,
        **changed,
        "headers": [
            {"name": name, "value": value}
            for name, value in _with_headers(
                [(each["name"], each["value"]) for each in envelope["headers"]],
                {name: field(raw) for name, raw in headers.items()},
                request.remove_headers,
            )
        ],
    }
    return json.dumps(made, ensure_ascii=False).encode()


def _field(
    old: Mapping[str, Any], raw: bytes | None, field: Callable[[bytes | None], dict[str, Any]]
) -> dict[str, Any]:
    """A field of an envelope with another value, of the schema that it had.

    Raises:
        LettersRequestError: the schema has no such value.
    """
    schema = old.get("connect", {}).get("schema")
    if raw is None or schema is None:
        return field(raw)
    kind = schema["type"]
    payload = _payload(kind, raw)
    made = {"connect": {"schema": schema, "payload": payload}}
    envelopes = SourceEnvelopes()
    try:
        read = envelopes.value_in(made, "value")
        written = json.loads(bytes(envelopes.field_of(*read)["connect"]))["payload"]
    except (EnvelopeError, KeyError) as error:
        raise LettersRequestError(f"no {kind} of the record's schema: {error}") from None
    if not _is_all_there(payload, written):  # Kafka's reader makes a 0 of a text
        raise LettersRequestError(
            f"no {kind} of the record's schema: it would be read as {written}"
        )
    return made


def _is_all_there(given: Any, read: Any) -> bool:
    """Whether what was read is what was given, but for what was left out."""
    if isinstance(given, dict) and isinstance(read, dict):
        return all(name in read and _is_all_there(given[name], read[name]) for name in given)
    if isinstance(given, list) and isinstance(read, list):
        return len(given) == len(read) and all(map(_is_all_there, given, read))
    return bool(given == read) and isinstance(given, bool) is isinstance(read, bool)


def _payload(kind: str, raw: bytes) -> Any:
    if kind == "bytes":
        return base64.b64encode(raw).decode()
    try:
        text = raw.decode()
        return text if kind == "string" else json.loads(text)
    except ValueError as error:
        raise LettersRequestError(f"expected JSON of a value of type {kind}: {error}") from None


def _connect_field(raw: bytes | None) -> dict[str, Any]:
    """A value without schema: what the text says as JSON, the text itself, or else bytes."""
    if raw is None:
        return bytes_field(None)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return bytes_field(raw)
    try:
        payload = json.loads(text)
    except ValueError:
        payload = text
    return {"connect": {"schema": None, "payload": payload}}


def _with_headers(
    present: Iterable[tuple[str, Any]], new: Mapping[str, Any], removed: Iterable[str]
) -> list[tuple[str, Any]]:
    """The headers with others set and some taken away."""
    found = list(present)
    names = {name for name, _ in found}
    for name in removed:
        if name not in names:
            known = ", ".join(sorted(names)) or "none"
            raise LettersRequestError(f"there is no header {name}; headers of the letter: {known}")
    gone = {*new, *removed}
    return [*((name, value) for name, value in found if name not in gone), *new.items()]


def _bytes(text: str | None, *, is_base64: bool) -> bytes | None:
    if text is None or not is_base64:
        return None if text is None else text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise LettersRequestError(f"{text[:40]} is no base64: {error}") from None
