"""Answers what is asked about a connector's dead letters; runs in a plan child."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from engine.api.errors import AuthenticationError, NotFoundError, RetriableError
from engine.model.letters.filter import FilterError, conditions
from engine.model.letters.place import BEGINNING, LetterPlace, place_of
from engine.model.letters.request import (
    MOST_AT_ONCE,
    QUEUES,
    LettersRequest,
    LettersRequestError,
)  # fmt: skip
from engine.model.letters.stored_letter import StoredLetter
from engine.plugins.registry import Plugins
from engine.storage import letter_handling
from engine.task.letters.conversion import FailsAgainError, LetterConversion, NotSendableError
from engine.task.letters.edit import edited
from engine.task.letters.reader import LetterReader
from engine.task.letters.replay import LetterReplay, Portion, only_one, replay_client
from engine.task.letters.scan import LetterScan
from engine.task.letters.store import LetterStore, letter_stores

_MOST_KINDS: Final = 200
"""Rows of counts in one answer; there are never so many causes that are really different."""

_MOST_DETAILS: Final = 20


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
        self._data_dir = data_dir
        self._reader = LetterReader(plugins, config, worker)
        self._stores: list[LetterStore] = []

    def answer(self, request: LettersRequest) -> dict[str, Any]:
        """The answer, ready to be JSON.

        Raises:
            LettersRequestError: the request makes no sense.
            NotFoundError: there is no such letter.
            ConnectError: the file cannot be read or written, or Kafka does not answer.
        """
        actions: dict[str, Callable[[LettersRequest], dict[str, Any]]] = {
            "list": self._list, "show": self._show, "edit": self._edit, "purge": self._purge,
            "replay": self._replay,
        }  # fmt: skip
        if request.queue not in QUEUES:
            raise LettersRequestError(f"Invalid queue {request.queue}: expected {_or(QUEUES)}")
        self._stores = letter_stores(self._config, self._worker, self._data_dir, request.queue)
        try:
            return actions[request.action](request)
        except (RetriableError, AuthenticationError) as error:  # Kafka's
            if request.action != "list" or request.queue != "all":
                raise
            hint = "--queue file shows the letters in the worker's own file"
            raise type(error)(f"{error}; {hint}") from error
        finally:
            for store in self._stores:
                store.close()

    # ---- actions ------------------------------------------------------------------------------

    def _list(self, request: LettersRequest) -> dict[str, Any]:
        counts: dict[tuple[str | None, ...], dict[str, Any]] = {}
        shown: list[dict[str, Any]] = []
        limit, is_more = min(request.limit, MOST_AT_ONCE), False
        listed = max(_place(request.list_after), _place(request.after))
        scan = self._scan(request)
        for stored in scan.matching():
            _count(counts, stored)
            if stored.place <= listed:
                continue
            if len(shown) < limit:
                shown.append(self._reader.summary(stored))
            else:
                is_more = True
        return {
            "total": sum(each["letters"] for each in counts.values()),
            "counts": sorted(counts.values(), key=lambda each: -each["letters"]),
            "letters": shown,
            "more_after": (shown[-1]["letter"] if shown else str(listed)) if is_more else None,
            **self._progress(scan),
        }

    def _show(self, request: LettersRequest) -> dict[str, Any]:
        return self._reader.whole(self._letter(_place(request.letter)))

    def _edit(self, request: LettersRequest) -> dict[str, Any]:
        stored = self._letter(_place(request.letter))
        record = None
        if not request.revert:
            record = edited(stored, request)
        elif request != LettersRequest("edit", letter=request.letter, queue=request.queue,
                                       base64=request.base64, revert=True):  # fmt: skip
            raise LettersRequestError("expected changes, or revert, not both")
        if stored.is_uncertain:
            raise LettersRequestError(
                f"letter {stored.place} is being replayed; it can be edited when that has ended"
            )
        self._handle([stored], letter_handling.edit(record, _now_ms()))
        return self._reader.whole(self._letter(stored.place))

    def _replay(self, request: LettersRequest) -> dict[str, Any]:
        conversion = LetterConversion(self._plugins, self._config, self._worker)
        try:
            if request.dry_run:
                return self._count_replay(request, conversion)
            with only_one(self._data_dir, self._name):
                return self._send(request, conversion)
        finally:
            conversion.close()

    def _count_replay(
        self, request: LettersRequest, conversion: LetterConversion
    ) -> dict[str, Any]:
        scan, portion = self._scan(request, self._is_ours(request)), Portion(request, self._name)
        reasons: Counter[str] = Counter()
        ready, refused = 0, list[dict[str, str]]()
        for stored in scan.matching():
            try:
                portion.outgoing(stored, conversion)
            except NotSendableError as error:
                reasons[str(error)] += 1
                if isinstance(error, FailsAgainError) and len(refused) < _MOST_DETAILS:
                    refused.append({"letter": str(stored.place), "reason": error.detail})
            else:
                ready += 1
        skipped = dict(reasons.most_common())
        return {"ready": ready, "skipped": skipped, "refused": refused, **self._progress(scan)}

    def _send(self, request: LettersRequest, conversion: LetterConversion) -> dict[str, Any]:
        scan, portion = self._scan(request, self._is_ours(request)), Portion(request, self._name)
        for stored in scan.matching():
            with suppress(NotSendableError):  # a dry run says why
                portion.add(stored, conversion)
            if portion.is_full:
                break
        kind = self._plugins.find("connector", self._config["connector.class"])
        client = replay_client(kind, self._config, self._worker)
        sent = LetterReplay(client, self._handle, _now_ms).send(portion.letters)
        answer = {**sent, **self._progress(scan)}
        if answer.pop("is_to_be_repeated"):
            answer["next"] = request.after or str(BEGINNING)
        return answer

    def _purge(self, request: LettersRequest) -> dict[str, Any]:
        scan, held = self._scan(request, self._is_ours(request)), set(request.held)
        matched, free = 0, list[LetterPlace]()
        for store, page in scan.pages():
            matched += sum(is_marked for _, is_marked in page)
            free += store.removable(page, held, dry_run=request.dry_run)
        progress = self._progress(scan)
        if not request.dry_run:
            for store in self._stores:
                store.remove([place for place in free if place.is_in_file is store.is_file])
        ends = {str(place.partition): place.number + 1 for place in free if not place.is_in_file}
        name = "purgeable" if request.dry_run else "purged"
        return {
            "matched": matched, name: len(free), "held": sorted(held), "cuts": ends, **progress,
        }  # fmt: skip

    # ---- letters ------------------------------------------------------------------------------

    def _letter(self, place: LetterPlace) -> StoredLetter:
        for store in self._stores_of(place):
            if (found := store.letter(place)) is not None:
                return found
        raise NotFoundError(f"Connector {self._name} has no dead letter {place}")

    def _handle(self, letters: Iterable[StoredLetter], change: letter_handling.Change) -> None:
        """Remember in each store what was done to its letters."""
        all_letters = list(letters)
        for is_in_file in (True, False):
            some = [each for each in all_letters if each.place.is_in_file is is_in_file]
            if some:
                for store in self._stores_of(some[0].place):
                    store.handle(some, change)

    def _stores_of(self, place: LetterPlace) -> list[LetterStore]:
        return [store for store in self._stores if store.is_file is place.is_in_file]

    def _scan(
        self,
        request: LettersRequest,
        is_meant: Callable[[StoredLetter], bool] = lambda _: True,
    ) -> LetterScan:
        try:
            wanted = conditions(request.where, datetime.now(UTC).timestamp())
        except FilterError as error:
            raise LettersRequestError(str(error)) from None
        return LetterScan(self._stores, self._reader, wanted, _place(request.after), is_meant)

    def _is_ours(self, request: LettersRequest) -> Callable[[StoredLetter], bool]:
        """Letters of other connectors in the same topic are meant only where they are asked for."""
        if any(each.lstrip().startswith("connector") for each in request.where):
            return lambda _: True
        return lambda stored: stored.letter.connector in (self._name, None)

    def _progress(self, scan: LetterScan) -> dict[str, Any]:
        return {
            "next": scan.next,
            "seen": scan.seen,
            "of": sum(store.count() for store in self._stores),
        }


def _count(counts: dict[tuple[str | None, ...], dict[str, Any]], stored: StoredLetter) -> None:
    letter = stored.letter
    kind = (letter.connector, letter.stage, letter.exception)
    if kind not in counts and len(counts) >= _MOST_KINDS:
        kind = (None, None, "…")
    found = counts.setdefault(
        kind,
        {
            "connector": kind[0], "stage": kind[1], "cause": kind[2], "letters": 0, "times": 0,
            "replayed": 0, "first_time": None, "last_time": None,
        },
    )  # fmt: skip
    found["letters"] += 1
    found["times"] += stored.times
    found["replayed"] += stored.is_replayed
    for name, time, choose in (
        ("first_time", stored.first_failed_ms, min),
        ("last_time", letter.failed_ms, max),
    ):
        if time is not None:
            found[name] = time if found[name] is None else choose(found[name], time)


def _place(text: str) -> LetterPlace:
    try:
        return place_of(text) if text else BEGINNING
    except ValueError as error:
        raise LettersRequestError(str(error)) from None


def _or(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}"


def _now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)
