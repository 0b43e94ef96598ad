"""Answers what is asked about a connector's dead letters; runs in a plan child."""

import base64
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from engine.api.errors import NotFoundError
from engine.model.letter_filter import FilterError, all_hold, conditions
from engine.model.letter_request import MOST_AT_ONCE, LettersRequest, LettersRequestError
from engine.plugins.registry import Plugins
from engine.storage.dead_letter_store import DeadLetterStore, StoredLetter
from engine.task.letter_reader import LetterReader
from engine.task.letter_replay import LetterReplay, only_one, portion, replay_client, why_not

_PAGE: Final = 500


class LetterRequests:
    """Letters of one connector.

    Args:
        config: the connector's, resolved.
        worker: the worker's.
    """

    def __init__(
        self, plugins: Plugins, config: Mapping[str, str], worker: Mapping[str, str], data_dir: Path
    ) -> None:
        self._name = config["name"]
        self._plugins = plugins
        self._config = config
        self._worker = worker
        self._store = DeadLetterStore(data_dir, self._name)
        self._reader = LetterReader(plugins, config, worker)

    def answer(self, request: LettersRequest) -> dict[str, Any]:
        """The answer, ready to be JSON.

        Raises:
            LettersRequestError: the request makes no sense.
            NotFoundError: there is no such letter.
            StoreError: the file cannot be read or written.
        """
        actions: dict[str, Callable[[LettersRequest], dict[str, Any]]] = {
            "list": self._list, "show": self._show, "edit": self._edit, "purge": self._purge,
            "replay": self._replay,
        }  # fmt: skip
        try:
            return actions[request.action](request)
        finally:
            self._store.close()

    # ---- actions ------------------------------------------------------------------------------

    def _list(self, request: LettersRequest) -> dict[str, Any]:
        counts: dict[tuple[str, str], dict[str, Any]] = {}
        shown: list[dict[str, Any]] = []
        limit, following = min(request.limit, MOST_AT_ONCE), None
        for stored in self._matching(request):
            _count(counts, stored)
            if stored.number <= request.after:
                continue
            if len(shown) < limit:
                shown.append(self._reader.summary(stored))
            elif following is None:
                following = shown[-1]["number"] if shown else request.after
        return {
            "total": sum(each["letters"] for each in counts.values()),
            "counts": sorted(counts.values(), key=lambda each: -each["letters"]),
            "letters": shown,
            "next": following,
        }

    def _show(self, request: LettersRequest) -> dict[str, Any]:
        return self._reader.whole(self._letter(request.number))

    def _edit(self, request: LettersRequest) -> dict[str, Any]:
        stored = self._letter(request.number)
        record = stored.record
        given: dict[str, Any] = {
            name: _bytes(text, is_base64=request.base64)
            for name, text in (("key", request.key), ("value", request.value))
            if not isinstance(text, msgspec.UnsetType)
        }
        if request.revert == bool(given):
            raise LettersRequestError("expected a new key, a new value, or revert")
        if stored.is_uncertain:
            raise LettersRequestError(
                f"letter {stored.number} is being replayed; it can be edited when that has ended"
            )
        edited = None if request.revert else replace(record, **given)
        self._store.edit(stored.number, edited, _now_ms())
        return self._reader.whole(self._letter(request.number))

    def _replay(self, request: LettersRequest) -> dict[str, Any]:
        if request.dry_run:
            reasons = Counter(why_not(s, again=request.again) for s in self._matching(request))
            count = reasons.pop(None, 0)
            return {"ready": count, "skipped": dict(reasons.most_common())}
        if not self._store.path.exists():
            return {"replayed": 0, "confirmed": 0, "refused": [], "uncertain": 0, "next": None}
        with only_one(self._store.path):
            ready = (
                stored
                for stored in self._matching(request, request.after)
                if why_not(stored, again=request.again) is None
            )
            limit = min(max(request.limit, 1), MOST_AT_ONCE)
            found = list(itertools.islice(ready, limit + 1))
            chosen = portion(found[:limit])
            kind = self._plugins.find("connector", self._config["connector.class"])
            client = replay_client(kind, self._config, self._worker)
            sent = LetterReplay(self._store, client, self._name, _now_ms).send(
                chosen, request.topic
            )
            return {**sent, "next": chosen[-1].number if len(chosen) < len(found) else None}

    def _purge(self, request: LettersRequest) -> dict[str, Any]:
        numbers = [stored.number for stored in self._matching(request)]
        removed = 0 if request.dry_run else self._store.remove(numbers)
        return {"matched": len(numbers), "purged": removed}

    # ---- letters ------------------------------------------------------------------------------

    def _letter(self, number: int) -> StoredLetter:
        found = self._store.letter(number)
        if found is None:
            raise NotFoundError(f"Connector {self._name} has no dead letter {number}")
        return found

    def _matching(self, request: LettersRequest, after: int = 0) -> Iterator[StoredLetter]:
        """Letters that are as the conditions say, in order."""
        try:
            wanted = conditions(request.where, datetime.now(UTC).timestamp())
        except FilterError as error:
            raise LettersRequestError(str(error)) from None
        while page := self._store.letters(after, _PAGE):
            for stored in page:
                after = stored.number

                def field_of(name: str, path: Any, stored: StoredLetter = stored) -> Any:
                    return self._reader.field(stored, name, path)

                if all_hold(wanted, field_of):
                    yield stored


def _count(counts: dict[tuple[str, str], dict[str, Any]], stored: StoredLetter) -> None:
    letter = stored.letter
    found = counts.setdefault(
        (letter.stage, letter.exception),
        {
            "stage": letter.stage.value, "cause": letter.exception, "letters": 0, "times": 0,
            "replayed": 0, "first_time": stored.first_failed_ms, "last_time": letter.failed_ms,
        },
    )  # fmt: skip
    found["letters"] += 1
    found["times"] += stored.times
    found["replayed"] += stored.replayed_ms is not None
    found["first_time"] = min(found["first_time"], stored.first_failed_ms)
    found["last_time"] = max(found["last_time"], letter.failed_ms)


def _bytes(text: str | None, *, is_base64: bool) -> bytes | None:
    if text is None or not is_base64:
        return None if text is None else text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise LettersRequestError(f"{text[:40]} is no base64: {error}") from None


def _now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)
