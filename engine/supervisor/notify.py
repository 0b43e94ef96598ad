"""The service manager's ear: ``sd_notify(3)`` without a library."""

import collections
import contextlib
import os
import socket
import time
from collections.abc import Mapping
from typing import Final

_FEEDS_PER_TIMEOUT: Final = 3
_LONGEST_STATUS: Final = 500
_MOST_WAITING: Final = 64

_ORDER: Final = ("RUNNING", "PAUSED", "STARTING", "BACKOFF", "FAILED")
"""Conditions in the order in which a status names them; others follow."""


class Notifier:
    """Sends states to systemd; silent where nobody listens.

    Args:
        address: the value of ``NOTIFY_SOCKET``; an abstract one begins with ``@``.
        watchdog: seconds within which systemd wants to hear from us.

    Attributes:
        watchdog: the same.
    """

    def __init__(self, address: str | None, watchdog: float | None = None) -> None:
        self._socket: socket.socket | None = None
        self.watchdog = watchdog
        self._feed_every = None if watchdog is None else watchdog / _FEEDS_PER_TIMEOUT
        self._fed_at = 0.0
        self._status = ""
        self._waiting: collections.deque[bytes] = collections.deque(maxlen=_MOST_WAITING)
        self._is_ready = False
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
            with contextlib.suppress(OSError):
                self._socket.connect(address.replace("@", "\0", 1))

    @staticmethod
    def of_environment() -> "Notifier":
        """As systemd's variables say."""
        microseconds = os.environ.get("WATCHDOG_USEC", "")
        is_ours = os.environ.get("WATCHDOG_PID") in (None, str(os.getpid()))
        watchdog = int(microseconds) / 1e6 if microseconds.isdecimal() and is_ours else None
        return Notifier(os.environ.get("NOTIFY_SOCKET"), watchdog)

    @property
    def is_heard(self) -> bool:
        """Whether there is a manager."""
        return self._socket is not None

    def _send(self, *states: str) -> None:
        self._waiting.append("\n".join(states).encode("utf-8", "backslashreplace"))
        self._flush()

    def _flush(self) -> None:
        """Send what waits, in order; while the manager does not read, it waits on."""
        while self._waiting and self._socket is not None:
            try:
                self._socket.send(self._waiting[0])
            except BlockingIOError:
                return
            except OSError:  # nobody is there
                self._waiting.clear()
                return
            self._waiting.popleft()

    def ready(self) -> None:
        """The service is up; said once, and once more after each :meth:`reloading`."""
        if not self._is_ready:
            self._is_ready = True
            self._send("READY=1")

    def reloading(self) -> None:
        """A reload or an upgrade begins; :meth:`ready` ends it, whatever came of it.

        Both words in one datagram: systemd takes the time to tell this reload from an older one.
        """
        self._is_ready = False
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}")

    def status(self, text: str) -> None:
        """One line for people; said when it changes."""
        line = " ".join(text.split())[:_LONGEST_STATUS]
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def alive(self, now: float) -> None:
        """The loop turns; called on every tick with its time, told three times a timeout."""
        self._flush()
        if self._feed_every is not None and now - self._fed_at >= self._feed_every:
            self._fed_at = now
            if not self._waiting:
                self._send("WATCHDOG=1")

    def healthy(self) -> None:
        """The service has run well for long: its next restart is a first one (systemd 258)."""
        self._send("RESTART_RESET=1")

    def stopping(self, seconds: float) -> None:
        """The service goes down, which takes so long at most: no kill before that."""
        self._send("STOPPING=1", f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def close(self) -> None:
        """No more words."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def status_of(conditions: Mapping[str, int]) -> str:
    """How many tasks are in which condition: ``412 running, 3 backoff, 1 failed``."""
    rest = sorted(set(conditions).difference(_ORDER))
    counted = [(conditions.get(each, 0), each.lower()) for each in (*_ORDER, *rest)]
    return ", ".join(f"{number} {name}" for number, name in counted if number) or "no tasks"
