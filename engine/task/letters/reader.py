"""Dead letters as people and conditions see them: decoded where a converter can."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from engine.api.converter import Converter
from engine.api.errors import ConfigError
from engine.converters.json import JsonConverter
from engine.model.data_text import at_path
from engine.model.letters.dead_letter import RawRecord
from engine.model.letters.stored_letter import StoredLetter
from engine.plugins.configured import make_converter
from engine.plugins.registry import Plugins
from engine.task.source_envelope import envelope_of

Data = dict[str, Any]
"""``{"format": "connect" | "json" | "text" | "base64" | "null", "data": …}``."""

_NULL: Final[Data] = {"format": "null", "data": None}


class LetterReader:
    """Reads letters of one connector.

    Args:
        config: the connector's, resolved; the worker's stands below it.
    """

    def __init__(
        self, plugins: Plugins, config: Mapping[str, str], worker: Mapping[str, str]
    ) -> None:
        self._key_converter = _converter_or_none(plugins, config, worker, is_key=True)
        self._value_converter = _converter_or_none(plugins, config, worker, is_key=False)
        self._json = JsonConverter()
        self._json.configure({"schemas.enable": "false"}, is_key=False)

    def field(self, stored: StoredLetter, name: str, path: Sequence[str]) -> Any:
        """A field as conditions know it (:mod:`engine.model.letters.filter`)."""
        if name in ("key", "value"):
            return at_path(self.data(stored.record)[name]["data"], path)
        if name == "header":
            headers = self.data(stored.record)["headers"]
            found = [each["data"] for each in headers if each["name"] == path[0]]
            return found[-1] if found else None
        return self.summary(stored)[name]

    def summary(self, stored: StoredLetter) -> dict[str, Any]:
        """What there is to say without the record's data and the stack; unknown is None."""
        letter, record, done = stored.letter, stored.letter.record, stored.handling
        return {
            "letter": str(stored.place),
            "number": stored.place.number,
            "queue": stored.queue or "file",
            "queue_partition": None if stored.place.is_in_file else stored.place.partition,
            "connector": letter.connector,
            "task": letter.task,
            "stage": letter.stage,
            "cause": letter.exception,
            "message": letter.message,
            "class": letter.executing,
            "time": letter.failed_ms,
            "first_time": stored.first_failed_ms,
            "times": stored.times,
            "attempts": letter.attempts,
            "topic": record.topic or None,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp": record.timestamp,
            "edited": done.edited_ms is not None,
            "replayed": stored.is_replayed,
            "replayed_time": done.replayed_ms,
            "uncertain": stored.is_uncertain,
        }

    def whole(self, stored: StoredLetter) -> dict[str, Any]:
        """Everything."""
        letter = stored.letter
        return {
            **self.summary(stored),
            "source_partition": letter.record.source_partition,
            "source_offset": letter.record.source_offset,
            "stacktrace": letter.stacktrace,
            "replay_topic": stored.handling.replay_topic,
            "original": self.data(letter.record),
            **self.data(stored.record),
        }

    def data(self, record: RawRecord) -> dict[str, Any]:
        """Key, value and headers, decoded; those in the envelope where there is one."""
        inner = envelope_of(record)
        if inner is not None:
            return {
                "key": _of_field(inner["key"]),
                "value": _of_field(inner["value"]),
                "headers": [
                    {"name": each["name"], **_of_field(each["value"])} for each in inner["headers"]
                ],
            }
        return {
            "key": self._decoded(self._key_converter, record, record.key),
            "value": self._decoded(self._value_converter, record, record.value),
            "headers": [{"name": name, **_guessed(raw)} for name, raw in record.headers],
        }

    def _decoded(self, converter: Converter | None, record: RawRecord, raw: bytes | None) -> Data:
        if raw is None or converter is None:
            return _guessed(raw)
        try:
            schema, value = converter.to_connect_data(record.topic, raw)
            text = self._json.from_connect_data(record.topic, schema, value)
            return {"format": "connect", "data": None if text is None else json.loads(text)}
        except Exception:  # noqa: BLE001 (a letter may be one because this very thing fails)
            return _guessed(raw)


def _converter_or_none(
    plugins: Plugins, config: Mapping[str, str], worker: Mapping[str, str], *, is_key: bool
) -> Converter | None:
    try:
        return make_converter(plugins, config, worker, "key" if is_key else "value")
    except ConfigError:
        return None


def _of_field(found: Mapping[str, Any]) -> Data:
    """A field of an envelope."""
    if "base64" in found:
        return _guessed(base64.b64decode(found["base64"]))
    if "connect" in found:
        payload = found["connect"]["payload"]
        return {"format": "connect", "data": payload}
    return {"format": "text", "data": found.get("text")}


def _guessed(raw: bytes | None) -> Data:
    """JSON, text, or bytes: whatever it can be read as."""
    if raw is None:
        return _NULL
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return {"format": "base64", "data": base64.b64encode(raw).decode()}
    try:
        found = json.loads(text)
    except ValueError:
        return {"format": "text", "data": text}
    is_structure = isinstance(found, (dict, list))
    return {"format": "json", "data": found} if is_structure else {"format": "text", "data": text}
