"""A value in sealed memory: what travels to a process without passing through anybody's eyes."""

import fcntl
import os
from typing import TypeVar

import msgspec

from engine.wire.blank_memory import blank
from engine.wire.message import decoder_of

T = TypeVar("T")

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


def seal(value: msgspec.Struct, name: str) -> int:
    """A descriptor of anonymous memory that holds the value and can no longer be changed."""
    fd = blank(name)
    fill(fd, value)
    return fd


def fill(fd: int, value: msgspec.Struct) -> None:
    """Put the value into empty memory, once."""
    os.write(fd, msgspec.msgpack.encode(value))
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)


def is_filled(fd: int) -> bool:
    """Whether the value is there."""
    return fcntl.fcntl(fd, fcntl.F_GET_SEALS) == _SEALS


def unseal(fd: int, kind: type[T]) -> T:
    """The value behind such a descriptor, which stays open and may be read again."""
    value: T = decoder_of(kind).decode(os.pread(fd, os.fstat(fd).st_size, 0))
    return value
