"""What can be asked about a connector's dead letters. Nothing here does I/O."""

from collections.abc import Mapping

import msgspec

from engine.api.errors import ConnectError

MOST_AT_ONCE = 500
"""Letters in one answer; a replay may take fewer, to end in time."""

QUEUES = ("all", "file", "topic")


class LettersRequestError(ConnectError):
    """A request for letters makes no sense."""


class LettersRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request for letters; which of the others mean something depends on the action.

    All but ``show`` and ``edit`` look at letters for some seconds at most; what they answer as
    ``next`` is where the next request is to go on, None when all letters were looked at.

    Attributes:
        action: ``list``, ``show``, ``replay``, ``edit`` or ``purge``.
        where: conditions (:mod:`engine.model.letters.filter`), all of which must hold.
        queue: which letters: ``file``, ``topic`` or ``all``.
        letter: of ``show`` and ``edit``: its place (:mod:`engine.model.letters.place`).
        after: letters behind this place only.
        list_after: of ``list``: letters that are counted and stand before are not shown.
        limit: of ``list`` and ``replay``: at most so many.
        dry_run: of ``replay`` and ``purge``: only count.
        held: of ``purge``: what the request before has answered as ``held``.
        again: of ``replay``: letters too that were replayed, or whose record was.
        topic: of ``replay``: where to instead of where the record was or was to go.
        key: of ``edit``: the new key; None for none, absent for the present one.
        value: of ``edit``: the same for the value.
        headers: of ``edit``: headers to be set, in the place of all of the same name.
        remove_headers: of ``edit``: names of headers to be taken away.
        base64: of ``edit``: key, value and headers are bytes in base64, not text.
        revert: of ``edit``: back to the original.
    """

    action: str
    where: tuple[str, ...] = ()
    queue: str = "all"
    letter: str = ""
    after: str = ""
    list_after: str = ""
    limit: int = 100
    dry_run: bool = False
    held: tuple[int, ...] = ()
    again: bool = False
    topic: str | None = None
    key: str | msgspec.UnsetType | None = msgspec.UNSET
    value: str | msgspec.UnsetType | None = msgspec.UNSET
    headers: Mapping[str, str | None] = {}
    remove_headers: tuple[str, ...] = ()
    base64: bool = False
    revert: bool = False
