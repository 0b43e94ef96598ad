"""What can be asked about a connector's dead letters. Nothing here does I/O."""

import msgspec

from engine.api.errors import ConnectError

MOST_AT_ONCE = 500
"""Letters in one answer; a replay may take fewer, to end in time."""


class LettersRequestError(ConnectError):
    """A request for letters makes no sense."""


class LettersRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request for letters; which of the others mean something depends on the action.

    Attributes:
        action: ``list``, ``show``, ``replay``, ``edit`` or ``purge``.
        where: conditions (:mod:`engine.model.letter_filter`), all of which must hold.
        number: of ``show`` and ``edit``: the letter.
        after: of ``list`` and ``replay``: letters with greater numbers only.
        limit: of ``list`` and ``replay``: at most so many.
        dry_run: of ``replay`` and ``purge``: only count.
        again: of ``replay``: letters too that were replayed, or whose record was.
        topic: of ``replay``: where to instead of where the record was or was to go.
        key: of ``edit``: the new key; None for none, absent for the present one.
        value: of ``edit``: the same for the value.
        base64: of ``edit``: key and value are bytes in base64, not text.
        revert: of ``edit``: back to the original.
    """

    action: str
    where: tuple[str, ...] = ()
    number: int = 0
    after: int = 0
    limit: int = 100
    dry_run: bool = False
    again: bool = False
    topic: str | None = None
    key: str | msgspec.UnsetType | None = msgspec.UNSET
    value: str | msgspec.UnsetType | None = msgspec.UNSET
    base64: bool = False
    revert: bool = False
