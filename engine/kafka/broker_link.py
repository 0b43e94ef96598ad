"""Whether the brokers can be reached, as a client's error callback tells it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from confluent_kafka import KafkaError, KafkaException

from engine.api.errors import AuthenticationError, ConnectError, RetriableError
from engine.kafka.errors import is_refused

_PROBE_INTERVAL: Final = 1.0
_PROBE_PATIENCE: Final = 0.2
_DOWN: Final = frozenset((
    "_ALL_BROKERS_DOWN", "_RESOLVE", "_SSL",
))  # fmt: skip
_AROUND: Final = re.compile(r"^\S+/\S+: | \(after [^)]*\)$")
_DETAIL: Final = re.compile(r"(?:failed: |Disconnected: )?([^:(]+?)(?: \(after .*\))?$")


class BrokerLink:
    """Hears a client's errors. Its callback runs inside the client's ``poll`` and only remembers.

    Attributes:
        text: what is wrong in words for the status; None while nothing is.
    """

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self._last = ""
        self._next_probe = 0.0
        self._error: ConnectError | None = None
        self.text: str | None = None

    @property
    def is_down(self) -> bool:
        """Whether no broker could be reached when last heard of."""
        return self.text is not None

    def on_error(self, error: KafkaError) -> None:
        """Take an error from the client."""
        if is_refused(error):
            self._error = AuthenticationError(f"Kafka at {self._servers}: {error.str()}")
        elif error.fatal():
            self._error = RetriableError(f"Kafka client: {error.str()}")
        elif error.name() == "_TRANSPORT":
            self._last = _detail(error.str())
        elif error.name() in _DOWN and self.text is None:
            said = _AROUND.sub("", error.str())
            reason = self._last if error.name() == "_ALL_BROKERS_DOWN" else said
            since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            reason = reason or "no connection"
            self.text = f"broker {self._servers} not reachable since {since}: {reason}"

    def is_up(self) -> None:
        """A broker has answered."""
        self.text = None

    def probe(self, ask: Callable[[float], object], now: float) -> None:
        """While the brokers are away, ask one now and then; an answer ends that.

        Args:
            ask: a request with a timeout that raises KafkaException without an answer.
            now: the monotonic clock.
        """
        if self.text is None or now < self._next_probe:
            return
        self._next_probe = now + _PROBE_INTERVAL
        try:
            ask(_PROBE_PATIENCE)
        except KafkaException:
            return
        self.is_up()

    def check(self) -> None:
        """Raise what ends the client for good.

        Raises:
            AuthenticationError: credentials or permissions were refused.
            RetriableError: the client is broken; a new one may work.
        """
        if self._error is not None:
            raise self._error


def _detail(text: str) -> str:
    found = _DETAIL.search(text)
    return found[1].strip() if found else text
