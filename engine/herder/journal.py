"""What the herder adds to the journal, which the supervisor writes: what people did, and plans."""

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final

import msgspec

from engine.model.letters.request import LettersRequest
from engine.storage.config_store import StoredConnector
from engine.wire.herder_message import Remark

ACTOR: Final = ContextVar("actor", default="herder")
"""Who wants what is being done, as the journal names it; work begun for somebody goes on so."""

_DONE: Final = {"replay": "replayed", "purge": "purged"}


class HerderJournal:
    """Sends events to the journal.

    Args:
        send: sends to the supervisor.
    """

    def __init__(self, send: Callable[[msgspec.Struct, Sequence[int]], None]) -> None:
        self._send = send

    def record(self, event: str, **fields: Any) -> None:
        """Something happened; fields without a value are left out."""
        told = {k: v for k, v in fields.items() if v is not None}
        self._send(Remark(event, told, ACTOR.get()), ())

    def configured(self, before: StoredConnector | None, after: StoredConnector) -> None:
        """A connector was made or changed; names of keys only, for values may be secrets."""
        self.record(
            "config_changed" if before else "connector_created",
            connector=after.name,
            version=after.version,
            keys=_changed_keys(before.config if before else {}, after.config),
        )

    def handled_letters(
        self, connector: str, request: LettersRequest, answer: Mapping[str, Any]
    ) -> None:
        """Dead letters were changed, sent again or taken away; what only looks is not told."""
        if request.action == "edit":
            event = "letter_reverted" if request.revert else "letter_edited"
            self.record(event, connector=connector, letter=request.letter)
        elif done := answer.get(_DONE.get(request.action, "")):
            event = f"letters_{_DONE[request.action]}"
            self.record(event, connector=connector, letters=done, where=list(request.where) or None)


def _changed_keys(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return sorted(k for k in before.keys() | after.keys() if before.get(k) != after.get(k))
