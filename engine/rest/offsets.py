"""``/connectors/NAME/offsets``: read, set and forget what is committed (KIP-875)."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from engine.herder.herder import BadRequestError, Herder
from engine.rest.body import answer, read_values, text_of
from engine.rest.route import CONNECTOR, Route, connector_of
from engine.wire.plan_message import OffsetChange

_FIELDS: Final = ("partition", "offset")
_LARGEST: Final = 2**63 - 1
_EXTERNALLY: Final = (
    "The Connect framework-managed offsets for this connector have been {0} successfully. However,"
    " if this connector manages offsets externally, they will need to be manually {0} in the system"
    " that the connector uses."
)


class OffsetsResource:
    """A connector's committed offsets; they are changed only while it is STOPPED."""

    def __init__(self, herder: Herder) -> None:
        self._herder = herder

    def routes(self) -> list[Route]:
        """What is answered here."""
        path = f"/connectors/{CONNECTOR}/offsets"
        return [
            Route("GET", path, self._get),
            Route("PATCH", path, self._alter),
            Route("DELETE", path, self._reset),
        ]

    async def _get(self, request: web.Request) -> web.Response:
        pairs = await self._herder.connector_offsets(connector_of(request))
        return answer(
            {"offsets": [{"partition": dict(p), "offset": offset} for p, offset in pairs]}
        )

    async def _alter(self, request: web.Request) -> web.Response:
        return await self._change(request, _changes_of(await read_values(request)), "altered")

    async def _reset(self, request: web.Request) -> web.Response:
        return await self._change(request, None, "reset")

    async def _change(
        self, request: web.Request, changes: Sequence[OffsetChange] | None, done: str
    ) -> web.Response:
        is_told = await self._herder.change_offsets(connector_of(request), changes)
        text = f"The offsets for this connector have been {done} successfully"
        return answer({"message": text if is_told else _EXTERNALLY.format(done)})


def _changes_of(body: Mapping[str, Any]) -> list[OffsetChange]:
    _refuse_unknown(body, ("offsets",), "the request body")
    offsets = body.get("offsets")
    if not offsets:
        raise BadRequestError(
            "Partitions / offsets need to be provided for an alter offsets request"
        )
    if not isinstance(offsets, list):
        raise BadRequestError('The value of "offsets" must be an array of objects')
    return [_change_of(each, f"offsets[{number}]") for number, each in enumerate(offsets)]


def _change_of(each: Any, where: str) -> OffsetChange:
    if not isinstance(each, dict):
        raise BadRequestError(f'{where} must be an object with "partition" and "offset"')
    _refuse_unknown(each, _FIELDS, where)
    partition, offset = (each.get(name) for name in _FIELDS)
    for name, value in zip(_FIELDS, (partition, offset), strict=True):
        if value is not None and not isinstance(value, dict):
            raise BadRequestError(f"{where}.{name} must be an object or null")
        _refuse_untellable(value, f"{where}.{name}")
    return partition, offset


def _refuse_unknown(found: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for name in found:
        if name not in known:
            names = ", ".join(f'"{each}"' for each in known)
            raise BadRequestError(
                f'Unrecognized field "{name}" in {where}, known properties: {names}'
            )


def _refuse_untellable(value: Any, where: str) -> None:
    """What no store of offsets could hold: half a surrogate pair, a number beyond 64 bits."""
    if isinstance(value, dict):
        for name, each in value.items():
            text_of(name, f"a key of {where}")
            _refuse_untellable(each, f"{where}.{name}")
    elif isinstance(value, list):
        for each in value:
            _refuse_untellable(each, where)
    elif isinstance(value, str):
        text_of(value, where)
    elif isinstance(value, int) and not -_LARGEST - 1 <= value <= _LARGEST:
        raise BadRequestError(f"{where} is beyond the range of 64 bits")
    elif isinstance(value, float) and not math.isfinite(value):
        raise BadRequestError(f"{where} is beyond the range of double precision")
