"""The service manager's ear: ``sd_notify(3)`` without a library."""

import contextlib
import os
import socket


class Notifier:
    """Sends states to systemd; silent where nobody listens.

    Args:
        address: the value of ``NOTIFY_SOCKET``; an abstract one begins with ``@``.
        watchdog: seconds within which systemd wants to hear from us.
    """

    def __init__(self, address: str | None, watchdog: float | None = None) -> None:
        self._socket: socket.socket | None = None
        self._watches = watchdog is not None
        self._is_ready = False
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
            with contextlib.suppress(OSError):
                self._socket.connect(address.replace("@", "\0", 1))

    @staticmethod
    def of_environment() -> "Notifier":
        """As systemd's variables say."""
        microseconds = os.environ.get("WATCHDOG_USEC")
        is_ours = os.environ.get("WATCHDOG_PID") in (None, str(os.getpid()))
        watchdog = int(microseconds) / 1e6 if microseconds and is_ours else None
        return Notifier(os.environ.get("NOTIFY_SOCKET"), watchdog)

    def _send(self, text: str) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.send(text.encode())

    def ready(self) -> None:
        """The service is up; said once."""
        if not self._is_ready:
            self._is_ready = True
            self._send("READY=1")

    def alive(self) -> None:
        """The loop turns."""
        if self._watches:
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The service goes down."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """No more words."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
