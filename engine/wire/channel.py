"""One end of a UNIX SEQPACKET socket that carries messages and descriptors."""

import array
import contextlib
import os
import socket
from collections.abc import Sequence
from types import UnionType
from typing import Generic, TypeVar

import msgspec

from engine.wire.message import decoder_of

MAX_MESSAGE_BYTES = 160 * 1024
"""Below half of the kernel's default socket buffer (212,992 bytes); longer texts are cut before."""

_MAX_DESCRIPTORS = 8
_ENCODER = msgspec.msgpack.Encoder()

M = TypeVar("M")


def shorten(text: str, most_bytes: int) -> str:
    """The beginning of a text as a message may carry it: so many bytes of valid UTF-8 at most."""
    return text.encode("utf-8", "backslashreplace")[:most_bytes].decode("utf-8", "ignore")


def shorten_to_end(text: str, most_bytes: int) -> str:
    """The end of a text, likewise."""
    return text.encode("utf-8", "backslashreplace")[-most_bytes:].decode("utf-8", "ignore")


class UnsendableError(ValueError):
    """A message does not fit into a datagram, or holds what cannot be written; ever."""


class Channel(Generic[M]):
    """Sends any message and receives messages of one union. Not for several threads.

    Args:
        sock: a connected SEQPACKET socket, which the channel owns from now on.
        receives: the union of message classes that may arrive.
    """

    def __init__(self, sock: socket.socket, receives: "type[M] | UnionType") -> None:
        self.sock = sock
        self._decoder = decoder_of(receives)

    @staticmethod
    def pair() -> tuple[socket.socket, socket.socket]:
        """Two connected sockets for two channels."""
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self.sock.fileno()

    def send(self, message: msgspec.Struct, descriptors: Sequence[int] = ()) -> None:
        """Send one message; descriptors stay open here.

        Raises:
            UnsendableError: nothing was sent.
            BlockingIOError: the socket is non-blocking and the other side does not read.
            OSError: the other side is gone (EPIPE, ECONNRESET).
        """
        try:
            data = _ENCODER.encode(message)
        except (ValueError, OverflowError, TypeError) as error:  # half a character, a huge number
            raise UnsendableError(f"{type(message).__name__}: {error}") from error
        if len(data) > MAX_MESSAGE_BYTES:
            raise UnsendableError(f"{type(message).__name__} has {len(data)} bytes")
        rights = (
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
            if descriptors
            else []
        )
        self.sock.sendmsg([data], rights, socket.MSG_NOSIGNAL)

    def receive(self) -> tuple[M, list[int]] | None:
        """The next message and its descriptors (close-on-exec); None when the other side is gone.

        Raises:
            BlockingIOError: the socket is non-blocking and nothing has come.
            msgspec.MsgspecError: what came is no message of ours; its descriptors are closed.
        """
        try:
            data, ancillary = self._receive()
        except ConnectionResetError:
            # It ended with words of ours unread. The kernel says so before it hands out what was
            # sent earlier, which is still there and is followed by the end.
            data, ancillary = self._receive()
        descriptors = _descriptors(ancillary)
        if not data:
            close_all(descriptors)
            return None
        try:
            return self._decoder.decode(data), descriptors
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            close_all(descriptors)
            raise msgspec.DecodeError(str(error)) from error

    def _receive(self) -> tuple[bytes, Sequence[tuple[int, int, bytes]]]:
        data, ancillary, _flags, _address = self.sock.recvmsg(
            MAX_MESSAGE_BYTES, socket.CMSG_SPACE(_MAX_DESCRIPTORS * 4), socket.MSG_CMSG_CLOEXEC
        )
        return data, ancillary

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()


def _descriptors(ancillary: Sequence[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)


def close_all(descriptors: Sequence[int]) -> None:
    """Close them, as far as they are open."""
    for fd in descriptors:
        with contextlib.suppress(OSError):
            os.close(fd)
