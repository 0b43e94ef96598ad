"""Makes of a dead letter the record that a replay sends; a source's goes on where it failed."""

import base64
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Final

from engine.api.errors import ConnectError
from engine.api.record import SourceBatch
from engine.model.error_policy import Stage
from engine.model.letters.dead_letter import RawRecord
from engine.model.letters.stored_letter import StoredLetter
from engine.plugins.registry import Plugins
from engine.task.source.conversion import SourceConversion
from engine.task.source_envelope import EnvelopeError, SourceEnvelopes, envelope_of
from engine.task.task_plugins import TaskPlugins
from engine.task.tolerance import Failed, T

POISON: Final = "PoisonRecordError"
"""End of the name of the exception of records that ended processes."""


class NotSendableError(ConnectError):
    """A letter cannot be sent; the text says why, in words that fit many letters."""


class FailsAgainError(NotSendableError):
    """A letter's record fails as it did, or in another way.

    Attributes:
        detail: the failure of this very record.
    """

    def __init__(self, stage: Stage, error: Exception) -> None:
        super().__init__(f"it fails again in {stage}: {type(error).__name__}")
        self.detail = f"{stage}: {type(error).__name__}: {error}"


class LetterConversion:
    """Converts letters of one connector.

    Args:
        config: the connector's, resolved.
        worker: the worker's.
    """

    def __init__(
        self, plugins: Plugins, config: Mapping[str, str], worker: Mapping[str, str]
    ) -> None:
        self._plugins = plugins
        self._config = config
        self._worker = worker
        self._envelopes = SourceEnvelopes()

    def outgoing(self, stored: StoredLetter) -> RawRecord:
        """The record to send; its topic is empty where nobody knows it.

        Raises:
            NotSendableError: there is nothing to send.
            ConfigError: the connector's converters or transformations cannot be made.
        """
        envelope = envelope_of(stored.record)
        if envelope is None:
            return stored.record
        if not envelope["topic"]:
            raise NotSendableError("a poll failed, and there is no record")
        before = self._before(stored, envelope)
        if before == Stage.KAFKA_PRODUCE:
            sent = _converted(envelope)
            if sent is not None:
                return sent
        return self._convert(envelope, transforms=before == Stage.TRANSFORMATION)

    def close(self) -> None:
        """Let go of the plugins."""
        if "_task_plugins" in self.__dict__:
            self._task_plugins.close()

    def _before(self, stored: StoredLetter, envelope: Mapping[str, Any]) -> str:
        """The stage that comes first."""
        letter = stored.letter
        if known := envelope.get("before"):
            return str(known)
        if letter.stage is None and _converted(envelope) is not None:
            return Stage.KAFKA_PRODUCE
        if letter.stage is None and self._task_plugins.transformations:
            raise NotSendableError("at which stage it failed is not known")
        is_whole = (letter.exception or "").endswith(POISON)
        return Stage.TRANSFORMATION if is_whole else letter.stage or Stage.HEADER_CONVERTER

    def _convert(self, envelope: Mapping[str, Any], *, transforms: bool) -> RawRecord:
        try:
            record: Any = self._envelopes.record_in(envelope)
        except EnvelopeError as error:
            raise NotSendableError(str(error)) from error
        plugins, first = self._task_plugins, _FirstFailure()
        if transforms:
            record = plugins.transformations.apply(record, first)
            if record is None:
                raise NotSendableError("a transformation drops it")
        [batch] = SourceBatch.of([record])
        made = SourceConversion(plugins, first).convert(batch)
        [message] = made.messages
        return RawRecord(
            made.topic,
            key=message.get("key"),
            value=message["value"],
            headers=message.get("headers", ()),
            partition=message.get("partition"),
            timestamp=message.get("timestamp"),
        )

    @cached_property
    def _task_plugins(self) -> TaskPlugins:
        return TaskPlugins.make(self._plugins, self._config, self._worker)


class _FirstFailure:
    """A judge that lets nothing pass."""

    def execute(
        self,
        stage: Stage,
        executing: type,  # noqa: ARG002 (a judge's)
        operation: Callable[[], T],
        record: Any,  # noqa: ARG002 (a judge's)
    ) -> T | Failed:
        """The operation's result.

        Raises:
            FailsAgainError: it has none.
        """
        try:
            return operation()
        except Exception as error:
            raise FailsAgainError(stage, error) from error


def _converted(envelope: Mapping[str, Any]) -> RawRecord | None:
    """The record that was converted already; None where something in it was not."""
    try:
        return RawRecord(
            envelope["topic"],
            key=_bytes_of(envelope["key"]),
            value=_bytes_of(envelope["value"]),
            headers=tuple((each["name"], _bytes_of(each["value"])) for each in envelope["headers"]),
            partition=envelope.get("partition"),
            timestamp=envelope.get("timestamp"),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _bytes_of(field: Mapping[str, Any]) -> bytes | None:
    """The bytes in an envelope's field.

    Raises:
        ValueError: there are none.
    """
    if "base64" in field:
        return base64.b64decode(field["base64"])
    if field.get("connect", {}).get("payload", 0) is None:
        return None
    raise ValueError("a value that was not converted")
