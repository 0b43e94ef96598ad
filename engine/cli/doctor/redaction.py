"""Taking secrets out of configurations and texts, before anybody else reads them. Pure.

A value is shown only when its key is known to hold no secret: keys of plugins that we do not know
are hidden, whatever they are called. What is hidden is then taken out of every text as well, and so
is everything that looks like a secret: passwords in addresses, ``password=…``, private keys.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final

from engine.api.config import ConfigType, keys_of
from engine.model.connector_config import common_keys
from engine.model.ignored_key import WORKER
from engine.model.worker_config import WorkerConfig

HIDDEN: Final = "[hidden]"

_SECRET: Final = re.compile(
    r"passw|passphrase|secret|token|jaas|credential|private|auth|user|[._-]key$|[.]pem$|[.]cert",
    re.IGNORECASE,
)
_OURS: Final = ("engine.", "errors.", "producer.", "consumer.", "admin.", "topic.creation.")
_STEP: Final = re.compile(r"(?:transforms|predicates)[.][^.]+[.](?:type|predicate|negate)")
_COMMON: Final = ("topic", "topics", "topics.regex", "file", "batch.size")
_PLACEHOLDER: Final = re.compile(r"\$\{[^}]*\}")
_SHORTEST_SECRET: Final = 4
_SHORTEST_UNKNOWN: Final = 8

_LOOKS_SECRET: Final = (
    (re.compile(r"(://[^/\s:@]*):[^/\s@]+@"), rf"\1:{HIDDEN}@"),
    (
        re.compile(
            r"""((?:passw\w*|passphrase|secret|token|api[._-]?key|credentials?)["']?\s*[=:]\s*["']?)"""
            r"""[^\s"',;&}]+""",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"((?:Bearer|Basic)\s+)[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1{HIDDEN}"),
    (
        re.compile(
            r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END [A-Z ]*PRIVATE KEY-----)", re.DOTALL
        ),
        rf"\1{HIDDEN}\2",
    ),
)


class Redaction:
    """Knows what was hidden so far, to hide it everywhere.

    Args:
        secrets: values that are secret, wherever they were found.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._hidden: set[str] = set()
        for value in secrets:
            self._hide(value, _SHORTEST_SECRET)

    def _hide(self, value: str, shortest: int) -> None:
        if len(value) >= shortest:
            self._hidden |= {
                value,
                json.dumps(value)[1:-1],
                json.dumps(value, ensure_ascii=False)[1:-1],
            }

    def config(self, config: Mapping[str, str]) -> dict[str, str]:
        """A configuration with what may be shown of it."""
        return {key: self._value(key, value) for key, value in config.items()}

    def _value(self, key: str, value: str) -> str:
        if _SECRET.search(key):
            shown = "".join(_PLACEHOLDER.findall(value))
            self._hide(value if not shown else "", _SHORTEST_SECRET)
            return shown or HIDDEN
        is_known = key in _KNOWN or key.startswith(_OURS) or _STEP.fullmatch(key)
        if is_known or _PLACEHOLDER.fullmatch(value):
            return self.text(value)
        self._hide(value, _SHORTEST_UNKNOWN)
        return HIDDEN

    def text(self, text: str) -> str:
        """A text without what was hidden, and without what looks like a secret."""
        for value in sorted(self._hidden, key=len, reverse=True):
            text = text.replace(value, HIDDEN)
        for pattern, shown in _LOOKS_SECRET:
            text = pattern.sub(shown, text)
        return text


def _known() -> frozenset[str]:
    keys = (*keys_of(WorkerConfig), *common_keys("source"), *common_keys("sink"))
    names = {key.name for key in keys if key.type is not ConfigType.PASSWORD}
    return frozenset(names | {*_COMMON, *WORKER})


_KNOWN: Final = _known()
